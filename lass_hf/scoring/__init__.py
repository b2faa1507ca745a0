"""The scoring engine, and the entity index of a bi-encoder."""
