"""Files of pairs and of lines: which they are, and what they hold."""
