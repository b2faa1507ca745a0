"""Audit: the suspicious facts of a whole graph, each judged without its own help."""
