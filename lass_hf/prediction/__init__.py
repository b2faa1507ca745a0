"""Names in, ranked predictions out; the two pipelines."""
