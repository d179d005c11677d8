"""What a call asks for: read, checked, and made into ids, a strategy and rules.

`request.py` is the way through them. `read_sources.py` and `read_targets.py` make ids of what is
given; `planning.py` makes strategy, plan and limits of the options. The others serve one option
each: `forced_phrases.py`, `grammars.py`, `shortlisting.py`.
"""
