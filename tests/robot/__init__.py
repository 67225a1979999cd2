"""The keywords for Robot Framework, in suites as firmware teams write them. Limits come in as variables."""
