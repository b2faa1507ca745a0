"""Writing judged triplets into files, in the formats of those who read them."""
