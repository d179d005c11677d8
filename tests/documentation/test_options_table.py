"""The tables of options and strategies in `docs/generation.md` are those of the package.

`python tests/documentation/test_options_table.py` writes them anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keras_s2s.options.descriptions import options_table
from keras_s2s.options.generation import OPTIONS
from keras_s2s.options.strategies import STRATEGIES, strategies_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "generation.md"
TABLES = {"options": options_table, "strategies": strategies_table}


def marked(name: str) -> re.Pattern[str]:
    """Finds what stands between the marks of a table."""
    return re.compile(rf"(?<=<!-- {name}: begin -->\n).*?(?=\n<!-- {name}: end -->)", re.DOTALL)


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_the_table_of_the_package(name):
    (found,) = marked(name).findall(PAGE.read_text(encoding="utf-8"))
    assert found == TABLES[name](), f"run python {Path(__file__).name}"


def test_the_tables_have_every_option_and_strategy():
    assert all(f"| `{name}` |" in options_table() for name in OPTIONS)
    assert all(f'| `"{name}"` |' in strategies_table() for name in STRATEGIES)


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for each, table in TABLES.items():
        page = marked(each).sub(lambda _, table=table: table(), page)
    PAGE.write_text(page, encoding="utf-8")
