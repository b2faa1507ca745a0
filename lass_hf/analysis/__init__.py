"""What a model gets wrong, as numbers, plots and pages."""
