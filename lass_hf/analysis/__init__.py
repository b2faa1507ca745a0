"""Analysis of what a model gets wrong and attends to, as numbers, plots and pages."""
