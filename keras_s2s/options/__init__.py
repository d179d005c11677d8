"""The options of `generate`: one table, which their checks, rules, documentation and command line
are made from.

`options/generation.py` declares each option once, `options/strategies.py` each strategy, and
`options/kinds.py` the kinds of values that options take. These modules import the standard library
alone, so that the command line shows its help at once.
"""
