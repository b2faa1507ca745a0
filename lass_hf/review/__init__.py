"""Review: what people decide about suggestions and findings, kept and given back."""
