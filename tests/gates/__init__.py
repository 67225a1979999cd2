"""Tests of `tinydeploy check`: configuration, limits, the baseline, the command."""
