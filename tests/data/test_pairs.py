"""Reading pairs: every format, every kind of damage, with the message that names it."""

import gzip
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_s2s.data import DataError, read_pairs

PAIRS = [("안녕하세요", "hello"), ("한 줄", "one\u2028line\x0c\x85\u0085"), ("a b", "c")]


def write(path, content):
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False], ids=["final newline", "no final newline"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_line_aligned(tmp_path, suffix, end, last, bom):
    def text(column):
        return bom + end.join(pair[column] for pair in PAIRS) + (end if last else "")

    source = write(tmp_path / f"train.ko{suffix}", text(0))
    target = write(tmp_path / f"train.en{suffix}", text(1))
    pairs = read_pairs(source, target)
    assert pairs == PAIRS
    assert (pairs.report.read, pairs.report.kept, pairs.report.dropped) == (3, 3, 0)


def test_gzip_is_known_by_its_content(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_bytes(gzip.compress(b"a\tb\n", mtime=0))
    assert read_pairs(pairs=path) == [("a", "b")]


@pytest.mark.parametrize("name", ["p.tsv", "p.txt", "p.tsv.gz"])
def test_tsv(tmp_path, name):
    path = write(tmp_path / name, "".join(f"{s}\t{t}\r\n" for s, t in PAIRS))
    assert read_pairs(pairs=str(path)) == PAIRS


def test_tsv_columns(tmp_path):
    path = write(tmp_path / "fra.txt", "Go.\tVa !\tCC-BY\nHi.\tSalut.\tCC-BY\n")
    assert read_pairs(pairs=path, columns=(1, 0)) == [("Va !", "Go."), ("Salut.", "Hi.")]
    with pytest.raises(DataError, match=r"fra\.txt, line 1: 3 columns, expected 2"):
        read_pairs(pairs=path)
    with pytest.raises(DataError, match=r"line 1: 3 columns, .* needs at least 5"):
        read_pairs(pairs=path, columns=(0, 4))


def test_options_of_the_other_format_are_refused(tmp_path):
    tsv = write(tmp_path / "p.tsv", "a\tb\n")
    lines = write(tmp_path / "p.jsonl", '{"source": "a", "target": "b"}\n')
    with pytest.raises(ValueError, match=r"p\.tsv: source_key and target_key are for JSON lines"):
        read_pairs(pairs=tsv, source_key="en")
    with pytest.raises(ValueError, match=r"p\.jsonl: columns=\(0, 1\) is for TSV files"):
        read_pairs(pairs=lines, columns=(0, 1))


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_json_lines(tmp_path, name):
    lines = [json.dumps({"ko": s, "en": t, "id": 1}) for s, t in PAIRS]
    lines.append(json.dumps({"translation": {"ko": "끝", "en": "end"}}))
    path = write(tmp_path / name, "\n".join(lines))
    pairs = read_pairs(pairs=path, source_key="ko", target_key="en")
    assert pairs == [*PAIRS, ("끝", "end")]


def test_format_can_be_said(tmp_path):
    path = write(tmp_path / "data.train", "a\tb\n")
    with pytest.raises(DataError, match=r"data\.train: the name does not tell the format"):
        read_pairs(pairs=path)
    assert read_pairs(pairs=path, format="tsv") == [("a", "b")]


def test_in_memory():
    assert read_pairs(pairs=iter(PAIRS)) == PAIRS
    assert read_pairs(pairs=[{"source": "a", "target": "b"}]) == [("a", "b")]


class FakeDataset:
    """What this package uses of a Hugging Face dataset."""

    def __init__(self, rows):
        self.rows = rows
        self.column_names = list(rows[0])

    def select_columns(self, names):
        return FakeDataset([{name: row[name] for name in names} for row in self.rows])

    def __len__(self):
        return len(self.rows)

    def __iter__(self):
        return iter(self.rows)


def make_dataset(rows):
    try:
        import datasets
    except ImportError:
        return FakeDataset(rows)
    return datasets.Dataset.from_list(rows)


@pytest.mark.parametrize("make", [FakeDataset, make_dataset])
def test_dataset(make):
    rows = [{"ko": s, "en": t, "n": 1} for s, t in PAIRS]
    assert read_pairs(pairs=make(rows), source_key="ko", target_key="en") == PAIRS
    rows = [{"translation": {"ko": s, "en": t}} for s, t in PAIRS]
    assert read_pairs(pairs=make(rows), source_key="ko", target_key="en") == PAIRS
    with pytest.raises(
        DataError, match=r"row 0, translation: no key 'de', but '(ko', 'en|en', 'ko)'"
    ):
        read_pairs(pairs=make(rows), source_key="ko", target_key="de")
    with pytest.raises(DataError, match="columns 'ko', 'en', but no 'source' and 'target'"):
        read_pairs(pairs=make([{"ko": "a", "en": "b"}]))


def test_a_split_must_be_chosen():
    with pytest.raises(DataError, match=r"keys 'train', 'test'; pass one split.*\['train'\]"):
        read_pairs(pairs={"train": [], "test": []})


def test_empty_sides_are_dropped_and_counted(tmp_path, caplog):
    source = write(tmp_path / "s", "a\n\n \nd\n\n")
    target = write(tmp_path / "t", "1\n2\n\n\t\n5\n")
    with caplog.at_level(logging.WARNING):
        pairs = read_pairs(source, target)
    assert pairs == [("a", "1")]
    report = pairs.report
    assert (report.read, report.kept) == (5, 1)
    assert (report.empty_source, report.empty_target, report.empty_both) == (2, 1, 1)
    assert "5 pairs read, 1 kept; dropped 2 with an empty source" in caplog.text


@given(
    st.lists(
        st.tuples(
            *[st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r"))] * 2
        ),
        min_size=1,
    )
)
def test_every_line_is_accounted_for(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("pairs")
    source = write(folder / "s", "".join(s + "\n" for s, _ in pairs))
    target = write(folder / "t", "".join(t + "\n" for _, t in pairs))
    # A byte order mark is not text where a file begins.
    first = tuple(side.removeprefix("\ufeff") for side in pairs[0])
    expected = [(s, t) for s, t in [first, *pairs[1:]] if s.strip() and t.strip()]
    if not expected:
        with pytest.raises(DataError, match="nothing to use"):
            read_pairs(source, target)
        return
    result = read_pairs(source, target)
    assert result == expected
    assert result.report.read == len(pairs)
    assert result.report.read == result.report.kept + result.report.dropped


def test_unequal_lengths(tmp_path):
    source = write(tmp_path / "train.en", "a\nb\nc\n")
    target = write(tmp_path / "train.de.gz", "a\nb\n")
    with pytest.raises(DataError) as error:
        read_pairs(source, target)
    message = str(error.value)
    assert f"{source} has 3 lines" in message and f"{target} has 2" in message


def test_invalid_utf8(tmp_path):
    source = write(tmp_path / "s.gz", b"fine\nalso fine\nsch\xf6n\n")
    target = write(tmp_path / "t", "1\n2\n3\n")
    with pytest.raises(DataError, match=r"s\.gz, line 3: not valid UTF-8 \(byte 0xf6"):
        read_pairs(source, target)


def broken(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("p.jsonl", b'{"source": "a", "target": "b"}\n{"source": "a"\n', "line 2: not valid JSON"),
        ("p.jsonl", b"[" * 200000, "line 1: not valid JSON"),
        ("p.jsonl", b'{"source": "a"}\n', "line 1: no key 'target', but 'source'"),
        ("p.jsonl", b'["a", "b"]\n', "line 1: expected a JSON object"),
        ("p.jsonl", b'{"source": 5, "target": "b"}\n', r"line 1: source is 5 \(int\)"),
        ("p.jsonl", b'{"source": "\\ud800", "target": "b"}\n', "line 1: .* unpaired surrogate"),
        ("p.tsv", b"a\tb\nc\n", "line 2: 1 columns, expected 2"),
        ("p.tsv", b"a\tb\tc\n", "line 1: 3 columns, expected 2"),
        ("p.csv", b"a;b\n", "line 1: 1 column, .*separated by semicolons; .*commas, or as a TSV"),
        ("p.tsv", "a\tb\n".encode("utf-16"), "line 1: UTF-16, expected UTF-8"),
        ("p.tsv", b"", "0 pairs read.* nothing to use"),
        ("p.tsv", b"\n\n", "2 pairs read, 0 kept.* nothing to use"),
        ("p.tsv.gz", b"a\tb\n", "named .gz, but its content is not gzip"),
        ("p.tsv.gz", gzip.compress(b"a\tb\n" * 99, mtime=0)[:-12], "damaged gzip data"),
        ("p.tsv.gz", gzip.compress(b"a\tb\n", mtime=0)[:-8] + bytes(8), "damaged gzip data"),
    ],
)
def test_broken_files(tmp_path, name, data, message):
    with pytest.raises(DataError, match=message) as error:
        read_pairs(pairs=broken(tmp_path / name, data))
    assert name in str(error.value)


def test_missing_file(tmp_path):
    write(tmp_path / "train.en.gz", "a\n")
    with pytest.raises(DataError, match=r"train\.en: no such file; there is a .*train\.en\.gz"):
        read_pairs(tmp_path / "train.en", tmp_path / "train.en.gz")
    with pytest.raises(DataError, match="cannot be read"):
        read_pairs(tmp_path, tmp_path)


@pytest.mark.parametrize("pair", ["ab", ("a",), ("a", "b", "c"), 5])
def test_not_a_pair(pair):
    with pytest.raises(DataError, match=r"pair 1 \(counted from 0\): expected a source"):
        read_pairs(pairs=[("a", "b"), pair])


def test_not_text():
    with pytest.raises(DataError, match=r"pair 0 .*: target is None \(NoneType\), expected text"):
        read_pairs(pairs=[("a", None)])


@pytest.mark.parametrize(
    "arguments", [{}, {"target": "a"}, {"source": "a", "target": "b", "pairs": []}]
)
def test_contradicting_arguments(arguments):
    with pytest.raises(ValueError, match="give either source and target"):
        read_pairs(**arguments)


def test_one_file_given_as_the_source_names_the_argument_for_it():
    with pytest.raises(ValueError, match=r"there is no target; for one file .* pairs='p\.tsv'"):
        read_pairs("p.tsv")
