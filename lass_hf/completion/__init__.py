"""Completion: the missing links of a whole graph, as a list that people review."""
