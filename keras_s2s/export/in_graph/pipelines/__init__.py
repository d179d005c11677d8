"""Pipelines of the `tokenizers` library in TensorFlow ops."""
