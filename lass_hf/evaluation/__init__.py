"""Ranks, classification, calibration, reranking, and their metrics."""
