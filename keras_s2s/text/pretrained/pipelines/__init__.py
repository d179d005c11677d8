"""Tokenizers that run a pipeline of the `tokenizers` library."""
