"""Shortlists: which target ids are worth computing for a source."""

from keras_s2s.text.shortlists.files import read_shortlist, write_shortlist
from keras_s2s.text.shortlists.shortlist import Shortlist
from keras_s2s.text.shortlists.word_model import learn_shortlist, translation_table

__all__ = [
    "Shortlist",
    "learn_shortlist",
    "read_shortlist",
    "translation_table",
    "write_shortlist",
]
