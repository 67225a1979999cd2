"""Renode as an emulator: what is written for it, how it is run, and what its words mean."""
