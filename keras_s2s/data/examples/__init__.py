"""Examples: pairs as ids, kept compactly, and drawn anew in every epoch."""
