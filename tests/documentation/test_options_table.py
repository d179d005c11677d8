"""The table of options in `docs/generation.md` is the one in the package.

`python tests/documentation/test_options_table.py` writes it anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from keras_s2s.options.generation import OPTIONS, options_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "generation.md"
MARKED = re.compile(r"(?<=<!-- options: begin -->\n).*?(?=\n<!-- options: end -->)", re.DOTALL)


def test_the_page_has_the_table_of_the_package():
    (found,) = MARKED.findall(PAGE.read_text(encoding="utf-8"))
    assert found == options_table(), f"run python {Path(__file__).name}"
    assert all(f"| `{name}` |" in found for name in OPTIONS)


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(MARKED.sub(lambda _: options_table(), page), encoding="utf-8")
