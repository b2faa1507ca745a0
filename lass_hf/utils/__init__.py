"""Atomic files, processes, fingerprints, result files, the environment of a run, the console, the hub client."""
