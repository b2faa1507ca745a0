"""The quality of a graph: what is odd about its names, triplets and relations."""
