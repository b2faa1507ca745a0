"""Model cards, and the upload to the Hugging Face hub."""
