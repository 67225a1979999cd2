"""Benchmarks: they print figures measured side by side and are run by hand; no test depends on a time."""
