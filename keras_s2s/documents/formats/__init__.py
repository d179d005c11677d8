"""Formats of documents: each reads a text into blocks of sentences and writes them back."""
