"""All kinds of evidence for a triplet, text and structure, in one fitted score."""
