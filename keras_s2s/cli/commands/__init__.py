"""Commands of the `keras-s2s` program, one a module."""
