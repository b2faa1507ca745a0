"""Reading, writing, describing and splitting graphs, without torch and transformers."""
