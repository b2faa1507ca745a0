"""What a saved model carries with it: graph, tokens, model, processor. It imports nothing outside this folder."""
