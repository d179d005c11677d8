"""Languages of IndicBART: special tokens `<2hi>` of a tokenizer that is otherwise ALBERT's.

A source ends in `</s> <2en>`, and decoding starts with `<2hi>`.
"""

from __future__ import annotations

import re

from keras_s2s.text.pretrained.tokenizer_files import Declared

_TAG = re.compile(r"<2([a-z]{2,3})>")
#: What begins and ends a text, beside tags.
BOS, EOS = "<s>", "</s>"


def language_tags(declared: Declared) -> dict[str, str]:
    """Returns the tag of each language, by its code; empty where there is no `</s>` as well."""
    every = [*declared.added.values(), *(declared.extra or ()), *(declared.additional or ())]
    tokens = dict.fromkeys(str(token) for token in every)
    found = {match[1]: token for token in tokens if (match := _TAG.fullmatch(token))}
    return found if EOS in tokens else {}
