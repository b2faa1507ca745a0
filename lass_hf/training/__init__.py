"""Arguments, negatives, collators, losses of batches, the Trainer."""
