"""Metrics of generated texts: BLEU, chrF, ROUGE, exact match and F1."""
