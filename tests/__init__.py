"""The tests of tinydeploy: a package, so that its folders can share what lies in `tests.support`."""
