"""The options of `generate`: one table, which their checks, rules, documentation and command line
are made from.

`options/generation.py` declares each option once; `options/kinds.py` says which values there are.
These modules import the standard library alone, so that the command line shows its help at once.
"""
