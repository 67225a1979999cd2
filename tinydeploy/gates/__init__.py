"""Budgets held against what a model takes: configuration, the committed baseline, and the verdicts."""
