"""Random texts out of many scripts, and the awkward ones that random drawing misses."""

from __future__ import annotations

import random

AWKWARD = [
    "",
    " ",
    "  double  spaces  ",
    "\n\ttabs\r\nand lines\n",
    "두 젊은 남자가 덤불 근처에 있다.",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",  # conjoining jamo
    "e\u0301te\u0301 a\u0328\u0301 a\u0301\u0328",
    "👨\u200d👩\u200d👧\u200d👦 🇰🇷 👍🏽 ❤\ufe0f\u200d🔥",
    "هذه جملة باللغة العربية، أليس كذلك؟",
    "\u202eright to left\u202c \ufeffbyte order mark",
    "control \x00\x00 A\x00ΑΣ\x00 \x07 \x1b \x7f\x85",
    "<pad><unk><s></s> </s> <pad> ▁ ▁▁ \u2585 \u2047",
    "ﬁsh Ⅷ ½ ² … ｆｕｌｌ　ｗｉｄｔｈ ㍿",
    "ΟΔΥΣΣΕΥΣ ΟΔΟΣ. Σ ΑΣ' İSTANBUL Iı",
    "\U0001d518\U0001d52b 𠮷野家 \U0010ffff \ufdd0",
    "x" * 5000,
    "word " * 1000,
]

# First and last code point. All are old enough for any Unicode version in use.
POOLS = [
    (0x00, 0x7F),
    (0x20, 0x7E),
    (0x80, 0x24F),
    (0x300, 0x36F),
    (0x391, 0x3A1),
    (0x3A3, 0x3C9),
    (0x410, 0x44F),
    (0x5D0, 0x5EA),
    (0x621, 0x652),
    (0x905, 0x94D),
    (0xE01, 0xE3A),
    (0x1100, 0x11FF),
    (0x1E00, 0x1EFF),
    (0x2000, 0x206F),
    (0x2460, 0x24FF),
    (0x3040, 0x30FE),
    (0x4E00, 0x9FA5),
    (0xAC00, 0xD7A3),
    (0xFB00, 0xFB06),
    (0xFF01, 0xFF5E),
    (0x1D400, 0x1D454),
    (0x1F300, 0x1F5FF),
    (0x1F600, 0x1F64F),
]
JOINERS = ["\u200d", "\u200c", "\ufe0f", "\u0301", "\u0308", " ", "Σ", "\u00ad"]


def random_texts(count: int, seed: int = 0) -> list[str]:
    """`count` texts of 0 to 24 code points, each from up to three scripts."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        pools = rng.sample(POOLS, rng.randint(1, 3))
        characters = [
            rng.choice(JOINERS) if rng.random() < 0.15 else chr(rng.randint(*rng.choice(pools)))
            for _ in range(rng.randint(0, 24))
        ]
        texts.append("".join(characters))
    return texts


def texts_of_any_characters(count: int, seed: int = 0) -> list[str]:
    """`count` texts of 0 to 16 characters of every script, of new ones and of none.

    Half of them have neighbours of few characters drawn at random, as words do, and marks between
    them; the others have characters from all of Unicode.
    """
    rng = random.Random(seed)
    texts = []
    for i in range(count):
        # Planes 0, 1, 2 and 14 are those with letters and marks.
        starts = [rng.choice([0, 0, 0, 1, 1, 2, 14]) << 16 | rng.randrange(0xFFF0) for _ in "abc"]
        highest = rng.choice([0xFFFF, 0x10FFFF])
        points = [
            rng.randint(0, highest)
            if i % 2
            else ord(rng.choice(JOINERS))
            if rng.random() < 0.2
            else rng.choice(starts) + rng.randrange(16)
            for _ in range(rng.randint(0, 16))
        ]
        texts.append("".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))
    return texts


TEXTS = [*AWKWARD, *random_texts(600)]
CORPUS = [
    "Two young men are outside near many bushes.",
    "Zwei junge Männer sind im Freien in der Nähe vieler Büsche.",
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz; 3.50 €!",
    "두 젊은 남자가 덤불 근처 밖에 있다.",
    "2024년 8월 16일, 금요일",
    "هذه جملة باللغة العربية، أليس كذلك؟",
    "我爱自然语言处理。 👍🏽",
]
