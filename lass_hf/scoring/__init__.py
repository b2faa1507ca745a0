"""Scores of triplets and of candidates: the scoring engine, and the entity index of a bi-encoder."""
