"""Model cards, and the upload of models to the Hugging Face hub."""
