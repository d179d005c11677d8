"""Tokenizers in TensorFlow ops: building blocks, and a class for each kind of tokenizer."""
