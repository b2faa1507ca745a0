"""The web pages and the JSON interfaces of `lass-hf serve` and `lass-hf review`."""
