"""Strategies: how the next ids of a batch of rows are chosen."""
