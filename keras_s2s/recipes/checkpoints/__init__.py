"""Checkpoints of a run: what is saved when, whose they are, and how a run goes on from them."""
