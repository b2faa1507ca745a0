"""The code that a saved model carries: graph, tokens, model, processor. It imports nothing outside this folder."""
