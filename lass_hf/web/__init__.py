"""The web page and the JSON interface of `lass-hf serve`."""
