"""Reading, writing, describing and splitting graphs. It imports no model."""
