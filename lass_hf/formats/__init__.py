"""Reading files of other formats into names, without graphs, torch and transformers."""
