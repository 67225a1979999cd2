"""Comparing two models, two reports, or one model on two boards: what changed, and which layer is responsible."""
