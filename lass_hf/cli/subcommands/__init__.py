"""The subcommands of `lass-hf`, a module for each, as `cli/__init__.py` says."""
