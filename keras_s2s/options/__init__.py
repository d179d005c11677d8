"""The options of `generate`: one table, from which everything that knows them is made.

`options/generation.py` declares each option once; `options/kinds.py` says which values there are.
These modules import the standard library alone, so that the command line shows its help at once.
"""
