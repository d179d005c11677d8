"""Loss and metrics over real tokens, and the training step that computes them in one."""
