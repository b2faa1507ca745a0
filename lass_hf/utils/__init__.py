"""Files that are written whole, processes, fingerprints, result files, the console, the hub client."""
