"""Texts to train on and texts to try, from many scripts."""

from __future__ import annotations

import random

from keras_s2s.text import TOKENIZERS

CORPUS = [
    "Two young men are outside near many bushes.",
    "Several men in hard hats are operating a giant pulley system.",
    "Zwei junge Männer sind im Freien in der Nähe vieler Büsche.",
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz; 3.50 €!",
    "두 젊은 남자가 덤불 근처 밖에 있다.",
    "2024년 8월 16일, 금요일",
    "हिन्दी में लिखा हुआ वाक्य",
    "هذه جملة باللغة العربية، أليس كذلك؟",
    "我爱自然语言处理。",
    "e\u0301te\u0301 and \u1112\u1161\u11ab\u1100\u1173\u11af",
] * 3

SAMPLES = [
    "",
    " ",
    "Two men are outside.",
    "두 젊은 남자",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "e\u0301te\u0301 a\u0328\u0301",
    "👨\u200d👩\u200d👧\u200d👦 🇰🇷 👍🏽 ❤\ufe0f\u200d🔥",
    "هذه جملة باللغة العربية، أليس كذلك؟",
    "control \x00 \x07 \x1b characters\tand\nlines\r\n",
    "<pad><unk><s></s> </s> <pad> ▁ ￭ ## Ġ",
    "  double  spaces  ",
    "\ufeffbyte order mark \u202eright to left\u202c",
    "word " * 3000,
    "x" * 20000,
]

KINDS = tuple(TOKENIZERS)


def many_ties() -> list[str]:
    """Random words over few letters: many merges are equally frequent."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 8))) for _ in range(200)]
    return [" ".join(draw.choices(words, k=8)) for _ in range(150)]
