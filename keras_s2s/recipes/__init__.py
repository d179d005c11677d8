"""Runs recipes: data, training and evaluation of a model from one YAML file.

`runner.py` is the run from beginning to end. Before it trains it reads the data (`data.py`), makes
the model (`warm_start.py`, `distillation.py`) and compiles it (`compiling.py`); afterwards it
measures the model (`measuring.py`). `checkpoints/` lets a run go on that was stopped, `records/`
writes down what happened.
"""
