"""The command line: `keras-s2s COMMAND`, one module for each command."""

from keras_s2s.cli.app import app, main

__all__ = ["app", "main"]
