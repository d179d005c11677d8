"""Checks of what a caller gives: texts, ids, batches, and the limits of a model."""
