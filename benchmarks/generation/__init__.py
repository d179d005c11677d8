"""Parts of the benchmark `generate.py`; nothing here is part of the package."""
