"""Pairs of DataFrames, of files that pandas wrote, and of JSON arrays."""

from __future__ import annotations

import csv
import io
import json
import logging
from pathlib import Path

import pytest
from fake_text import FakePreprocessor
from hypothesis import given
from hypothesis import strategies as st

from keras_s2s.data import Batches, DataError, SpanCorruption, read_pairs
from keras_s2s.text import Preprocessor
from keras_s2s.training.callbacks import GenerationMetrics

PAIRS = [("안녕", "hello"), ('He said "go".', "a\tb"), ("two\nlines", '"quoted"')]


class Frame:
    """A DataFrame as far as it is asked: iterating gives the columns' names."""

    def __init__(self, columns: dict[str, list]) -> None:
        self.columns = list(columns)
        self._rows = list(zip(*columns.values(), strict=True))

    def __iter__(self):
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self._rows)

    def itertuples(self, index: bool = True, name: str | None = "Pandas"):
        assert not index and name is None
        return iter(self._rows)


class PolarsFrame(Frame):
    itertuples = None  # type: ignore[assignment]

    def __init__(self, columns: dict[str, list]) -> None:
        super().__init__(columns)

    def iter_rows(self):
        return iter(self._rows)


def frames() -> list:
    kinds: list = [Frame, PolarsFrame]
    try:
        import pandas
    except ImportError:
        return kinds
    return [*kinds, pandas.DataFrame]


@pytest.fixture(params=frames(), ids=lambda kind: kind.__name__)
def frame(request: pytest.FixtureRequest):
    return request.param


def test_two_columns_are_pairs(frame) -> None:
    table = frame({"en": ["a", "b"], "de": ["c", "d"]})
    assert read_pairs(pairs=table) == [("a", "c"), ("b", "d")]
    text = Preprocessor.train(table, "character")
    assert text.encode_source(["ab"]) and text.source.token_to_id("c") is None
    assert len(Batches(table, text, batch_size=1)) == 2
    assert Batches(table, FakePreprocessor()).report.kept == 2
    assert GenerationMetrics(table, ["chrf"]).pairs == [("a", "c"), ("b", "d")]


def test_columns_by_name(frame) -> None:
    table = frame({"target": ["c"], "source": ["a"]})
    assert read_pairs(pairs=table) == [("a", "c")]
    table = frame({"id": [1], "de": ["c"], "en": ["a"]})
    assert read_pairs(pairs=table, source_key="en", target_key="de") == [("a", "c")]
    message = r"3 columns \('id', 'de', 'en'\); expected .*table\[\['en', 'de'\]\]"
    with pytest.raises(ValueError, match=message):
        read_pairs(pairs=table)
    with pytest.raises(ValueError, match=message):
        Batches(table, FakePreprocessor())
    with pytest.raises(ValueError, match=message):
        Preprocessor.train(table, "character")
    with pytest.raises(ValueError, match="'fr'"):
        read_pairs(pairs=table, source_key="en", target_key="fr")


def test_missing_cells_are_empty_texts(frame) -> None:
    table = frame({"en": ["a", None, float("nan")], "de": ["b", "c", "d"]})
    pairs = read_pairs(pairs=table)
    assert pairs == [("a", "b")]
    assert pairs.report.empty_source == 2
    assert Batches(table, FakePreprocessor()).report.empty == 2
    with pytest.raises(DataError, match=r"pair 1 .*source is 7 \(int\), expected text"):
        read_pairs(pairs=frame({"en": ["a", 7], "de": ["b", "c"]}))


def test_one_column_has_the_texts_of_an_objective(frame) -> None:
    text = Preprocessor.train([("abcdef", "abcdef")], "character", joint=True)
    rule = SpanCorruption(sentinels=[text.source.unk_id])
    assert Batches(frame({"text": ["abcdef"] * 3}), text, objective=rule).report.kept == 3
    with pytest.raises(DataError, match=r"2 columns .*table\['text'\]"):
        Batches(frame({"a": ["abc"], "b": ["abc"]}), text, objective=rule)


# --------------------------------------------------------------------------------------
# Files of CSV writers
# --------------------------------------------------------------------------------------


def write(path: Path, rows, quoting: int = csv.QUOTE_MINIMAL, delimiter: str = "\t") -> Path:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("name", ["p.tsv", "p.csv"])
def test_what_pandas_writes(name, index, header, tmp_path, caplog) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / name
    separator = "\t" if name == "p.tsv" else ","
    table = pandas.DataFrame(PAIRS, columns=["source", "target"])
    table.to_csv(path, sep=separator, index=index, header=header)
    columns = (1, 2) if index and not header else None
    with caplog.at_level(logging.INFO):
        pairs = read_pairs(pairs=path, columns=columns)
    assert pairs == PAIRS
    assert pairs.report.unquoted >= 3
    assert "were taken as a CSV writer's (quotes=False keeps them)" in caplog.text


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_what_a_csv_writer_writes(quoting, delimiter, tmp_path) -> None:
    path = tmp_path / ("p.tsv" if delimiter == "\t" else "p.csv")
    pairs = read_pairs(pairs=write(path, PAIRS, quoting, delimiter))
    assert pairs == PAIRS
    assert pairs.report.unquoted == (6 if quoting == csv.QUOTE_ALL else 3 + (delimiter == "\t"))


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1, max_size=8)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=4))
def test_every_text_survives(tmp_path_factory, pairs) -> None:
    path = tmp_path_factory.mktemp("csv") / "p.tsv"
    kept = [pair for pair in pairs if all(text.strip() for text in pair)]
    if not kept or tuple(cell.strip().lower() for cell in pairs[0]) == ("source", "target"):
        return
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        write(path, pairs, quoting)
        assert read_pairs(pairs=path) == kept


RAW = '"Go!" he said.\t"Geh!"\n"Hi."\t"Hallo."\nHe said "no".\tNein.\n'


def test_quotes_of_direct_speech_are_text(tmp_path, caplog) -> None:
    path = tmp_path / "p.tsv"
    path.write_text(RAW, encoding="utf-8")
    pairs = read_pairs(pairs=path)
    assert pairs == [tuple(line.split("\t")) for line in RAW.splitlines()]
    assert (pairs.report.unquoted, pairs.report.kept_quotes) == (0, 0)


def test_a_mixture_is_kept_and_counted(tmp_path, caplog) -> None:
    path = tmp_path / "p.tsv"
    path.write_text(RAW + '"He said ""yes""."\tJa.\n', encoding="utf-8")
    pairs = read_pairs(pairs=path)
    assert pairs[-1] == ('"He said ""yes""."', "Ja.")
    assert pairs.report.kept_quotes == 1
    assert "quotes of 1 cells that look like a CSV writer's were kept as text" in caplog.text


def test_quotes_can_be_said(tmp_path) -> None:
    path = write(tmp_path / "p.tsv", [('say "a"', "b"), ("c", "d")])
    assert read_pairs(pairs=path)[0] == ('say "a"', "b")
    assert read_pairs(pairs=path, quotes=False)[0] == ('"say ""a"""', "b")
    path.write_text('"a"\tb\n"c\td\n', encoding="utf-8")
    assert read_pairs(pairs=path) == [('"a"', "b"), ('"c', "d")]
    with pytest.raises(DataError, match=r"p\.tsv, line \d: quotes are not those of a CSV file"):
        read_pairs(pairs=path, quotes=True)
    lines = tmp_path / "p.jsonl"
    lines.write_text('{"source": "a", "target": "b"}\n')
    with pytest.raises(ValueError, match="quotes=True is for TSV and CSV files"):
        read_pairs(pairs=lines, quotes=True)


def test_a_header_of_other_names_is_told(tmp_path, caplog) -> None:
    path = tmp_path / "named.csv"
    path.write_text("s,t\na dog,ein Hund\na cat,eine Katze\n", encoding="utf-8")
    assert len(read_pairs(pairs=path)) == 3
    assert "named.csv: line 1 (s, t) looks like the names of columns" in caplog.text


def test_a_list_of_words_has_no_header(tmp_path, caplog) -> None:
    path = tmp_path / "words.csv"
    path.write_text("house,Haus\ndog,Hund\na cat,eine Katze\nbird,Vogel\n", encoding="utf-8")
    assert len(read_pairs(pairs=path)) == 4
    assert "looks like" not in caplog.text


def test_a_header_of_languages_is_told(tmp_path, caplog) -> None:
    path = write(tmp_path / "p.tsv", [("en", "de"), ("a dog", "ein Hund")])
    assert len(read_pairs(pairs=path)) == 2
    assert "line 1 (en, de) looks like the names of columns" in caplog.text


def test_a_row_with_other_columns_is_named(tmp_path) -> None:
    path = write(tmp_path / "p.tsv", [('a "x"\nb', "c"), ("d", "e", "f")])
    with pytest.raises(DataError, match=r"p\.tsv, line 3: 3 columns, expected 2"):
        read_pairs(pairs=path, quotes=True)


# --------------------------------------------------------------------------------------
# JSON
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("kind", ["lists", "objects", "translation"])
def test_an_array_of_pairs(kind, indent, tmp_path) -> None:
    elements: list = {
        "lists": [list(pair) for pair in PAIRS],
        "objects": [{"id": 1, "source": s, "target": t} for s, t in PAIRS],
        "translation": [{"translation": {"source": s, "target": t}} for s, t in PAIRS],
    }[kind]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(elements, indent=indent), encoding="utf-8")
    assert read_pairs(pairs=path) == PAIRS
    path.rename(tmp_path / "p.data")
    for format in ("json", "jsonl"):
        assert read_pairs(pairs=tmp_path / "p.data", format=format) == PAIRS


def test_lines_of_lists(tmp_path) -> None:
    path = tmp_path / "p.json"
    for pairs in (PAIRS, PAIRS[:1]):
        path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
        assert read_pairs(pairs=path) == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[["a", "b"], ["c"]]', r"p\.json, element 1 \(counted from 0\): expected a JSON object"),
        ('[["a", "b"], ["c", 3]]', r"element 1 .*: target is 3 \(int\), expected text"),
        ('[{"source": "a"}]', r"element 0 .*: no key 'target'"),
        ('[\n["a", "b"],\n["c" "d"]\n]', r"p\.json, line 3: not valid JSON .*expected an array"),
        ("[]", "nothing to use"),
        ("7", r"line 1: expected a JSON object"),
    ],
)
def test_damaged_arrays(text, message, tmp_path) -> None:
    path = tmp_path / "p.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_pairs(pairs=path)
