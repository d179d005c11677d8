"""Parts of the benchmark `serve.py`; nothing here is part of the package."""
