"""Marian's own files: `.npz` and `.bin` models, their settings and vocabularies."""
