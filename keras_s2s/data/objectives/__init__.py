"""Pre-training objectives: rules that make a source and a target of one text."""
