"""Languages that are not the default, on every path that takes one, against transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from parity.test_huggingface_text import make
from small_models import Probe, model_inputs, slow_where_compiled

from keras_s2s import Seq2SeqLM, word_alignment
from keras_s2s.analysis.alignment import attended_ids
from keras_s2s.callbacks import GenerationMetrics
from keras_s2s.config import ConfigError
from keras_s2s.data import Batches
from keras_s2s.text_metrics.corpus_metrics import corpus_metrics

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning")]

TEXTS = ["The quick brown fox", "안녕하세요, 두 젊은 남자", "def maximum(a, b): return max"]
PREFIXES = ["The fox", "", "Two men"]

#: Folder -> source and target language, neither of them a default, and two more targets.
LANGUAGES: dict[str, tuple[str | None, list[str]]] = {
    "mbart50": ("fr_XX", ["sl_SI", "ko_KR", "en_XX"]),
    "m2m_100": ("ko", ["zu", "de", "en"]),
    "nllb": ("kor_Hang", ["zul_Latn", "fra_Latn", "eng_Latn"]),
    "mbart": ("ko_KR", ["de_DE", "ro_RO", "en_XX"]),
    "plbart_multi": ("python", ["go", "java", "en_XX"]),
    "marian": (None, ["fra", "deu", "fra"]),
}
FORCED = ["mbart50", "m2m_100", "nllb"]
STARTED = ["mbart", "plbart_multi"]


class Twins:
    """A model here and in transformers, around the same tokenizer."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.model, self.tokenizer, self.folder = make(name, folder)
        self.ours = Seq2SeqLM.from_preset(self.folder, verbose=False)
        self.source, self.targets = LANGUAGES[name]

    def options(self, target: Any) -> dict[str, Any]:
        languages = {"tgt_lang": target}
        return languages if self.source is None else {"src_lang": self.source, **languages}

    def code(self, language: str) -> int:
        spelled = {"m2m_100": "__{}__", "plbart_multi": "__{}__", "marian": ">>{}<<"}
        return self.tokenizer.convert_tokens_to_ids(spelled.get(self.name, "{}").format(language))

    def inputs(self, text: str, target: str) -> Any:
        if self.name == "marian":
            text = f">>{target}<< {text}"
        else:
            self.tokenizer.src_lang = self.source
        return self.tokenizer([text], return_tensors="pt")

    def begins(self, target: str) -> list[int]:
        """What the decoder begins with."""
        if self.name in STARTED:
            return [self.code(target)]
        start = [self.model.config.decoder_start_token_id]
        return [*start, self.code(target)] if self.name in FORCED else start

    def target_ids(self, text: str) -> list[int]:
        return self.tokenizer(text_target=text, add_special_tokens=False).input_ids

    def generated(self, text: str, target: str, prefix: str = "", **options: Any) -> list[int]:
        """What transformers generates, without the decoder start."""
        begun = [*self.begins(target), *self.target_ids(prefix)]
        inputs = self.inputs(text, target)
        with torch.no_grad():
            ids = self.model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                decoder_input_ids=torch.tensor([begun]),
                # Or it would put its own in front.
                decoder_start_token_id=begun[0],
                **options,
            )
        return ids[0, 1:].tolist()

    def text_of(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    known: dict[str, Twins] = {}

    def get(name: str) -> Twins:
        if name not in known:
            known[name] = Twins(name, tmp_path_factory.mktemp(name))
        return known[name]

    return get


def of_rows(output: Any) -> list[list[int]]:
    return [row[:n].tolist() for row, n in zip(output.token_ids, output.lengths, strict=True)]


@slow_where_compiled
@pytest.mark.parametrize("num_beams", [2])
@pytest.mark.parametrize("name", LANGUAGES)
def test_prefixes_go_on_from_the_language(twins, name, num_beams):
    pair = twins(name)
    common = {"num_beams": num_beams, "max_length": 12}
    expected = [
        pair.generated(text, target, prefix, **common)
        for text, target, prefix in zip(TEXTS, pair.targets, PREFIXES, strict=True)
    ]
    found = pair.ours.generate(
        TEXTS,
        **pair.options(pair.targets),
        decoder_prefix=PREFIXES,
        return_output=True,
        **common,
    )
    assert of_rows(found) == expected
    # One language for all, and one text.
    target = pair.targets[0]
    alone = pair.ours.generate(
        TEXTS[2], **pair.options(target), decoder_prefix=PREFIXES[2], return_output=True, **common
    )
    assert of_rows(alone) == [pair.generated(TEXTS[2], target, PREFIXES[2], **common)]
    # A prefix of no text is no prefix.
    empty = pair.ours.generate(TEXTS[0], **pair.options(target), decoder_prefix="", **common)
    assert empty == pair.ours.generate(TEXTS[0], **pair.options(target), **common)


@slow_where_compiled
@pytest.mark.parametrize("name", LANGUAGES)
def test_streams(twins, name):
    pair = twins(name)
    for target, prefixes in (
        (pair.targets[0], None),
        (pair.targets, PREFIXES),
    ):
        common = {**pair.options(target), "decoder_prefix": prefixes, "max_length": 9}
        expected = pair.ours.generate(TEXTS, num_beams=1, **common)
        parts = list(pair.ours.stream(TEXTS, stride=2, **common))
        assert ["".join(row) for row in zip(*parts, strict=True)] == expected
    ids = pair.generated(TEXTS[0], pair.targets[0], num_beams=1, max_length=9)
    pieces = pair.ours.stream(TEXTS[0], **pair.options(pair.targets[0]), max_length=9)
    assert "".join(pieces) == pair.text_of(ids)
    drawn = {"do_sample": True, "seed": 4, "max_length": 9, **pair.options(pair.targets)}
    expected = pair.ours.generate(TEXTS, num_beams=1, **drawn)
    parts = list(pair.ours.stream(TEXTS, **drawn))
    assert ["".join(row) for row in zip(*parts, strict=True)] == expected


@slow_where_compiled
@pytest.mark.parametrize("name", LANGUAGES)
def test_scores(twins, name):
    pair = twins(name)
    found, parts = pair.ours.score(
        TEXTS, PREFIXES, **pair.options(pair.targets), return_token_log_probs=True
    )
    for text, target, label, total, part in zip(
        TEXTS, pair.targets, PREFIXES, found, parts, strict=True
    ):
        start = pair.begins(target)
        eos = pair.tokenizer.eos_token_id
        labels = [*start[1:], *pair.target_ids(label), eos]
        inputs = pair.inputs(text, target)
        with torch.no_grad():
            logits = pair.model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                decoder_input_ids=torch.tensor([[start[0], *labels[:-1]]]),
            ).logits[0]
        chosen = torch.log_softmax(logits, -1)[range(len(labels)), labels].numpy()
        np.testing.assert_allclose(part, chosen, atol=2e-4)
        assert total == pytest.approx(chosen.sum(), abs=1e-3)


@slow_where_compiled
@pytest.mark.parametrize("name", LANGUAGES)
def test_attention(twins, name):
    """`word_alignment` and `plot_attention`: of a given target, and of the model's own answer."""
    pair = twins(name)
    pair.model.set_attn_implementation("eager")
    target, options = pair.targets[0], pair.options(pair.targets[0])
    inputs = pair.inputs(TEXTS[0], target)
    for label in ("Two men", None):
        start = pair.begins(target)
        if label is None:
            labels = pair.generated(TEXTS[0], target, num_beams=1, max_length=12)
            found = attended_ids(pair.ours, TEXTS[0], None, **options, num_beams=1, max_length=12)
        else:
            labels = [*start[1:], *pair.target_ids(label), pair.tokenizer.eos_token_id]
            found = attended_ids(pair.ours, TEXTS[0], label, **options)
        with torch.no_grad():
            attentions = pair.model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                decoder_input_ids=torch.tensor([[start[0], *labels[:-1]]]),
                output_attentions=True,
            ).cross_attentions
        assert found[0] == inputs["input_ids"][0].tolist()
        assert found[1] == labels
        np.testing.assert_allclose(found[2], attentions[-1][0].mean(0).numpy(), atol=1e-4)
    links = word_alignment(pair.ours, TEXTS[0], "Two men", **options)
    assert (links.source, links.target) == (TEXTS[0].split(), ["Two", "men"])


@slow_where_compiled
@pytest.mark.parametrize("name", LANGUAGES)
def test_attention_of_scores(twins, name):
    """`score(return_attention=True)`, each row in a target language of its own, in one batch.

    It equals the attention of a teacher-forced call that starts with the row's own id, and
    transformers' cross-attentions; where the decoder starts with the language, another start
    gives another attention.
    """
    pair = twins(name)
    pair.model.set_attn_implementation("eager")
    labels = ["Two men", "A dog sleeps", "The fox"]
    scores, log_probs, attention = pair.ours.score(
        TEXTS,
        labels,
        **pair.options(pair.targets),
        return_token_log_probs=True,
        return_attention=True,
    )
    np.testing.assert_array_equal(
        scores, pair.ours.score(TEXTS, labels, **pair.options(pair.targets))
    )
    probe = Probe(pair.ours)

    def teacher_forced(source: list[int], inputs: list[int]) -> np.ndarray:
        batch = model_inputs([source], [inputs], pair.ours.special_ids)
        return probe.logits_and_attention(batch)[1][0]

    for row, (text, label, target) in enumerate(zip(TEXTS, labels, pair.targets, strict=True)):
        source = pair.inputs(text, target)["input_ids"][0].tolist()
        start, *forced = pair.begins(target)
        ids = [*forced, *pair.target_ids(label), pair.tokenizer.eos_token_id]

        with torch.no_grad():
            output = pair.model(
                input_ids=torch.tensor([source]),
                decoder_input_ids=torch.tensor([[start, *ids[:-1]]]),
                output_attentions=True,
            )
        assert attention[row].shape == (len(ids), len(source))
        assert log_probs[row].shape == (len(ids),)
        assert scores[row] == pytest.approx(log_probs[row].sum(), abs=1e-4)
        np.testing.assert_allclose(attention[row].sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(
            attention[row], teacher_forced(source, [start, *ids[:-1]]), atol=1e-5
        )
        theirs = output.cross_attentions[-1][0].mean(0).numpy()
        np.testing.assert_allclose(attention[row], theirs, atol=1e-4)
        if name in STARTED:
            default = pair.model.config.decoder_start_token_id
            other = teacher_forced(source, [default, *ids[:-1]])
            assert np.abs(attention[row] - other).max() > 1e-3
        found = attended_ids(pair.ours, text, label, **pair.options(target))
        assert found[:2] == (source, ids)
        np.testing.assert_allclose(found[2], attention[row], atol=1e-5)


@slow_where_compiled
@pytest.mark.parametrize("name", LANGUAGES)
def test_a_language_that_a_model_was_given_stays(twins, name, tmp_path):
    """Through our folder, Keras' file and a Hugging Face folder that transformers reads."""
    pair = twins(name)
    target = pair.targets[0]
    expected = pair.ours.generate(TEXTS, **pair.options(target))
    model = Seq2SeqLM.from_preset(pair.folder, verbose=False)
    model.generate(TEXTS[:1])  # what was compiled before knows nothing of it
    model.preprocessor = model.preprocessor.in_languages(pair.source, target)
    scores = pair.ours.score(TEXTS, PREFIXES, **pair.options(target))
    if name != "marian":
        others = pair.ours.score(TEXTS, PREFIXES, **pair.options(pair.targets[1]))
        assert abs(scores - others).min() > 1e-3
    prefixed = pair.ours.generate(TEXTS, **pair.options(target), decoder_prefix=PREFIXES)

    def check(found: Seq2SeqLM) -> None:
        assert found.generate(TEXTS) == expected
        assert found.special_ids.languages == model.preprocessor.special_ids.languages

    check(model)
    assert model.generate(TEXTS, decoder_prefix=PREFIXES) == prefixed
    parts = list(model.stream(TEXTS))
    greedy = model.generate(TEXTS, num_beams=1)
    assert ["".join(row) for row in zip(*parts, strict=True)] == greedy
    np.testing.assert_allclose(model.score(TEXTS, PREFIXES), scores, atol=1e-4)
    model.save_to_preset(tmp_path / "own")
    check(Seq2SeqLM.from_preset(tmp_path / "own"))
    model.save(tmp_path / "model.keras")
    check(keras.saving.load_model(tmp_path / "model.keras"))
    check(
        Seq2SeqLM.from_preset(
            pair.folder,
            preprocessor=pair.ours.preprocessor.in_languages(pair.source, target),
            verbose=False,
        )
    )
    if name == "marian":
        # transformers' tokenizer of Marian has no default.
        with pytest.raises(ConfigError, match=r"languages\.default_target .*MarianTokenizer"):
            model.export(tmp_path / "there", format="huggingface")
        return
    model.export(tmp_path / "there", format="huggingface")
    check(Seq2SeqLM.from_preset(tmp_path / "there", verbose=False))
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "there").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    inputs = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        ids = theirs.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        )
    assert tokenizer.batch_decode(ids, skip_special_tokens=True) == expected
    # `export` can be told, too.
    told = pair.ours.export(tmp_path / "told", format="huggingface", **pair.options(target))
    check(Seq2SeqLM.from_preset(told, verbose=False))


@slow_where_compiled
@pytest.mark.parametrize("name", ["nllb", "mbart"])
def test_through_ctranslate2(twins, name, tmp_path, caplog):
    """That engine is told at each call; the folder read here knows the languages."""
    ctranslate2 = pytest.importorskip("ctranslate2")
    pair = twins(name)
    target = pair.targets[0]
    # Which is no part of such a folder.
    eos = pair.ours.special_ids.target.forced_eos
    options = {"num_beams": 2, "early_stopping": True, "max_length": 12}
    options |= {"forced_eos_token_id": eos}
    expected = pair.ours.generate(TEXTS, **pair.options(target), **options)
    folder = pair.ours.export(tmp_path / "there", "ctranslate2", **pair.options(target))
    assert f"each source has the token of {pair.source!r}" in caplog.text
    again = Seq2SeqLM.from_preset(folder, verbose=False)
    assert again.generate(TEXTS, **options) == expected
    other = pair.ours.generate(TEXTS, **pair.options(pair.targets[1]), **options)
    assert again.generate(TEXTS, **pair.options(pair.targets[1]), **options) == other
    text = pair.ours.preprocessor
    sources = [
        [text.source.id_to_token(i) for i in row] for row in text.encode_source(TEXTS, pair.source)
    ]
    if json.loads((folder / "config.json").read_text())["add_source_eos"]:
        sources = [[token for token in row if token != "</s>"] for row in sources]
    prefix = None if name == "mbart" else [[text.target.id_to_token(pair.code(target))]] * 3
    found = ctranslate2.Translator(str(folder)).translate_batch(
        sources,
        target_prefix=prefix,
        beam_size=2,
        max_decoding_length=11,
        return_end_token=True,
    )
    ids = [[text.target.token_to_id(token) for token in each.hypotheses[0]] for each in found]
    if name == "nllb":
        assert text.decode_target(ids) == expected


@slow_where_compiled
def test_measuring_while_training(twins):
    pair = twins("nllb")
    pairs = list(zip(TEXTS, PREFIXES, strict=True))
    options = pair.options(pair.targets)
    answers = pair.ours.generate(TEXTS, **options)
    for limit in (None, 2):
        metrics = GenerationMetrics(pairs, ["chrf"], limit=limit, **pair.options(pair.targets))
        metrics.set_model(pair.ours)
        logs: dict[str, Any] = {}
        metrics.on_epoch_end(0, logs)
        expected = corpus_metrics(answers[:limit], PREFIXES[:limit], ["chrf"])
        assert logs["val_chrf"] == expected["chrf"]
    with pytest.raises(ValueError, match="tgt_lang has 2 values for 3 pairs"):
        GenerationMetrics(pairs, ["chrf"], tgt_lang=pair.targets[:2])


@slow_where_compiled
def test_measuring_from_the_shell(twins, tmp_path):
    from keras_s2s.cli import main

    pair = twins("nllb")
    (tmp_path / "source").write_text("\n".join([*TEXTS, ""]))
    words = ["--src-lang", pair.source, "--tgt-lang", pair.targets[0], "--max-length", "12"]
    files = ["--source", str(tmp_path / "source"), "--target", str(tmp_path / "source")]
    answers = tmp_path / "answers"
    assert main(["evaluate", str(pair.folder), *files, *words, "-o", str(answers)]) == 0
    expected = pair.ours.generate(TEXTS, **pair.options(pair.targets[0]), max_length=12)
    assert answers.read_text().splitlines() == [" ".join(text.splitlines()) for text in expected]


@slow_where_compiled
@pytest.mark.parametrize("name", ["mbart50", "mbart"])
def test_trained_loss_is_that_of_transformers(twins, name):
    """`Batches` in a direction: the same loss as with labels of transformers' tokenizer."""
    pair = twins(name)
    target = pair.targets[0]
    text = pair.ours.preprocessor.in_languages(pair.source, target)
    batches = Batches([(TEXTS[0], "Two men")], text, batch_size=1)
    loss = pair.ours.evaluate(batches, verbose=0, return_dict=True)["loss"]
    pair.tokenizer.src_lang, pair.tokenizer.tgt_lang = pair.source, target
    inputs = pair.tokenizer([TEXTS[0]], text_target=["Two men"], return_tensors="pt")
    labels = inputs["labels"]
    if name == "mbart":  # the language, which is last there, is the decoder's first input
        start = pair.model.prepare_decoder_input_ids_from_labels(labels)[:, :-1]
        labels = labels[:, :-1]
    else:
        start = torch.cat([torch.tensor([pair.begins(target)[:1]]), labels[:, :-1]], 1)
    with torch.no_grad():
        logits = pair.model(input_ids=inputs["input_ids"], decoder_input_ids=start).logits
    expected = torch.nn.functional.cross_entropy(logits[0], labels[0])
    assert loss == pytest.approx(float(expected), abs=1e-4)


@slow_where_compiled
def test_ids_with_languages_and_without_text(twins):
    pair = twins("mbart50")
    rows = pair.ours.preprocessor.encode_source(TEXTS, pair.source)
    inputs = {
        "encoder_token_ids": np.array([row + [1] * (40 - len(row)) for row in rows]),
        "encoder_padding_mask": np.array([[i < len(row) for i in range(40)] for row in rows]),
    }
    expected = pair.ours.generate(TEXTS, **pair.options(pair.targets), return_output=True)
    found = pair.ours.generate(inputs, tgt_lang=pair.targets)
    np.testing.assert_array_equal(found, expected.token_ids)
    model = Seq2SeqLM.from_preset(pair.folder, verbose=False)
    model.preprocessor = None
    np.testing.assert_array_equal(model.generate(inputs, tgt_lang=pair.targets), found)
    with pytest.raises(ValueError, match=r"src_lang=.* is for texts"):
        model.score(rows, rows, src_lang="ko_KR")
    with pytest.raises(ValueError, match=r"target 0 does not begin with .*'sl_SI'"):
        model.score(rows, rows, tgt_lang="sl_SI")


@slow_where_compiled
def test_a_language_said_twice(twins):
    """By name and by number: the same is the same, two are refused."""
    pair = twins("mbart50")
    first, second = (pair.code(language) for language in pair.targets[:2])
    options = {"src_lang": pair.source, "decoder_prefix": PREFIXES, "max_length": 12}
    expected = pair.ours.generate(TEXTS, tgt_lang=pair.targets[0], **options)
    assert pair.ours.generate(TEXTS, forced_bos_token_id=first, **options) == expected
    both = {"tgt_lang": pair.targets[0], "forced_bos_token_id": first}
    assert pair.ours.generate(TEXTS, **both, **options) == expected
    with pytest.raises(ValueError, match="name two languages"):
        pair.ours.generate(TEXTS, **{**both, "forced_bos_token_id": second}, **options)


@slow_where_compiled
def test_languages_that_a_call_cannot_use(twins):
    marian = twins("marian").ours
    rows = marian.preprocessor.encode_source(TEXTS, tgt_lang="fra")
    inputs = {
        "encoder_token_ids": np.array([rows[0]]),
        "encoder_padding_mask": np.ones((1, len(rows[0])), bool),
    }
    with pytest.raises(ValueError, match="tgt_lang='fra' is for texts"):
        marian.generate(inputs, tgt_lang="fra")
    with pytest.raises(ConfigError, match="sources do not say their language"):
        marian.preprocessor.in_languages("deu")
    with pytest.raises(ConfigError, match=r"'ko_KP'.*did you mean"):
        twins("mbart50").ours.stream(TEXTS, tgt_lang="ko_KP")
    with pytest.raises(ConfigError, match=r"'ko_KP'.*did you mean"):
        word_alignment(twins("mbart50").ours, "a", "b", tgt_lang="ko_KP")
