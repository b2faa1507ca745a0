"""Runs: one training from its arguments, with chosen settings and with its evidence."""
