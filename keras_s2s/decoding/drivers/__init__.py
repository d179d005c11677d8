"""Drivers: how the decoding loop runs on each backend."""
