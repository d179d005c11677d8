"""What a run writes down: its folder, versions, metrics as JSON lines, summary, pictures."""
