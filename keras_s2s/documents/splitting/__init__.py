"""Where a text is split: into sentences, and a sentence that is too long at clauses."""
