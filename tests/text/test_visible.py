"""Characters that leave no mark are named."""

from __future__ import annotations

import sys
import unicodedata

from keras_s2s.text.visible import make_visible, named


def test_names() -> None:
    assert named("a\n\u200f\u202fb\0") == (
        "a<line feed><right-to-left mark><narrow no-break space>b<null>"
    )
    assert named("\x01\ue000") == "<U+0001><U+E000>"
    assert make_visible(" a b") == "▁a▁b"
    assert make_visible(" \t ") == "▁<tab>▁"
    assert make_visible("\u00a0") == "<no-break space>"
    assert named("한국어 é 🙂 $") == "한국어 é 🙂 $"


def test_every_character_can_be_printed() -> None:
    for code in (*range(0x3100), *range(0xD7F0, 0xE010), 0xFEFF, 0xFFFF, sys.maxunicode):
        shown = named(chr(code))
        assert shown.isprintable() and shown.encode("utf-8")
        assert (shown == chr(code)) == (chr(code).isprintable()), unicodedata.category(chr(code))
