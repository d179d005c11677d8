"""Makes tokenizers with a part of their ids: what has to stay, and how files are written."""
