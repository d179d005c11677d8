"""Makes characters visible that leave no mark: control characters, spaces, direction marks."""

from __future__ import annotations

import unicodedata

# Unicode gives control characters no names.
_CONTROLS = {
    "\0": "null",
    "\a": "bell",
    "\b": "backspace",
    "\t": "tab",
    "\n": "line feed",
    "\v": "vertical tab",
    "\f": "form feed",
    "\r": "carriage return",
    "\x1b": "escape",
    "\x7f": "delete",
    "\x85": "next line",
}


def named(text: str) -> str:
    """Replaces control characters, direction marks and special spaces by their names.

    Example:
        >>> named("a\\n\\u200f\\u202fb")
        'a<line feed><right-to-left mark><narrow no-break space>b'
    """
    return "".join(c if c.isprintable() else f"<{_name(c)}>" for c in text)


def make_visible(token: str) -> str:
    """Makes a token visible as `named` does, with spaces written as `▁`."""
    # One by one: the names have spaces of their own.
    return "".join("▁" if c == " " else named(c) for c in token)


def _name(character: str) -> str:
    if character in _CONTROLS:
        return _CONTROLS[character]
    name = unicodedata.name(character, None)
    return f"U+{ord(character):04X}" if name is None else name.lower()
