"""Compilers, the linker script, start-up code and the object cache."""
