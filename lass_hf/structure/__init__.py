"""What a graph knows beside its words: rules and structural vectors."""
