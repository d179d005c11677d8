"""File formats of weights: names and shapes at once, then one tensor at a time."""
