"""Corpus metrics, held against sacreBLEU and rouge-score themselves."""

from __future__ import annotations

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from keras_s2s.text_metrics import bleu_tokenizer
from keras_s2s.text_metrics.corpus_metrics import TextMetrics, check_metrics, corpus_metrics
from keras_s2s.text_metrics.rouge import ROUGE, Words, rouge_scores
from keras_s2s.text_metrics.target_language import of_code, of_texts, segmentation, target_language

HYPOTHESES = ["Ein Hund läuft im Schnee .", "Zwei Männer sitzen auf einer Bank.", "한국어 문장"]
REFERENCES = ["Ein Hund rennt im Schnee.", "Zwei Männer sitzen auf der Bank.", "한국어 문장"]

CHINESE = (
    ["今天天气很好。", "我喜欢吃苹果和香蕉。"],
    ["今天天气非常好。", "我很喜欢吃苹果和香蕉。"],
)
JAPANESE = (["今日はとてもいい天気ですね。"], ["今日はいい天気ですね。"])
KOREAN = (["오늘은 날씨가 매우 좋습니다."], ["오늘 날씨가 매우 좋습니다."])
THAI = (["วันนี้อากาศดีมาก"], ["วันนี้อากาศดีมากๆ"])


def test_values_are_sacrebleus() -> None:
    measured = corpus_metrics(HYPOTHESES, REFERENCES, ["bleu", "chrf"])
    assert measured["bleu"] == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    assert measured["chrf"] == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score
    assert "tok:13a" in str(measured["bleu_signature"])
    for name in ("bleu", "chrf"):
        assert str(measured[f"{name}_signature"]).startswith("nrefs:1|case:mixed|")


def test_exact_match_is_a_percentage() -> None:
    assert corpus_metrics(HYPOTHESES, REFERENCES, ["exact_match"]) == {
        "exact_match": pytest.approx(100 / 3),
        "exact_match_signature": "nrefs:1|case:mixed|norm:none|tok:none",
    }


# --------------------------------------------------------------------------------------
# BLEU's tokenizer
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tgt_lang", ["zh", "zh_CN", "zho_Hans", "cmn_Hant", "ZH-cn", None])
def test_bleu_of_chinese_is_that_of_characters(tgt_lang: str | None) -> None:
    measured = corpus_metrics(*CHINESE, ["bleu"], tgt_lang=tgt_lang)
    expected = sacrebleu.corpus_bleu(CHINESE[0], [CHINESE[1]], tokenize="zh").score
    assert measured["bleu"] == expected > 40
    assert sacrebleu.corpus_bleu(CHINESE[0], [CHINESE[1]]).score == 0.0
    assert "|tok:zh|" in str(measured["bleu_signature"])


@pytest.mark.parametrize(
    ("texts", "codes", "name"),
    [
        (JAPANESE, ("ja", "ja_XX", "jpn_Jpan", "jap"), "ja-mecab"),
        (KOREAN, ("ko", "ko_KR", "kor_Hang"), "ko-mecab"),
    ],
)
def test_mecab_where_it_is_installed_and_characters_where_not(texts, codes, name, caplog) -> None:
    try:
        bleu_tokenizer.make_tokenizer(name)
        used = name
    except ImportError as error:
        assert f"pip install 'sacrebleu[{name[:2]}]'" in str(error)
        used = "char"
    expected = sacrebleu.corpus_bleu(texts[0], [texts[1]], tokenize=used).score
    for code in (*codes, None):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            measured = corpus_metrics(*texts, ["bleu"], tgt_lang=code)
        assert measured["bleu"] == expected > 0
        assert f"|tok:{used}" in str(measured["bleu_signature"])
        assert f"BLEU: tokenizer {used}" in caplog.text
        assert ("not installed" in caplog.text) == (used == "char")


@pytest.mark.parametrize("code", ["th", "th_TH", "tha_Thai", None])
def test_scripts_without_spaces_are_measured_by_characters(code: str | None) -> None:
    measured = corpus_metrics(*THAI, ["bleu"], tgt_lang=code)
    assert measured["bleu"] == sacrebleu.corpus_bleu(THAI[0], [THAI[1]], tokenize="char").score > 0
    assert "|tok:char|" in str(measured["bleu_signature"])


def test_a_chosen_tokenizer_wins() -> None:
    for name in ("13a", "char", "intl", "none"):
        measured = corpus_metrics(*CHINESE, ["bleu"], tgt_lang="zh", bleu_tokenize=name)
        expected = sacrebleu.corpus_bleu(CHINESE[0], [CHINESE[1]], tokenize=name, force=True)
        assert measured["bleu"] == expected.score
        assert f"|tok:{name}|" in str(measured["bleu_signature"])


@pytest.mark.parametrize(("tokenize", "warnings"), [("none", 0), (None, 1)])
def test_tokenised_texts_raise_a_warning_where_they_are_not_asked_for(tokenize, warnings, caplog):
    texts = ["a dog runs ."] * 100
    corpus_metrics(texts, texts, ["bleu"], bleu_tokenize=tokenize)
    found = [record for record in caplog.records if "tokenized period" in record.message]
    assert len(found) == warnings


@pytest.mark.parametrize("name", ["flores200", "flores101", "spm", "spBLEU-1K"])
def test_nothing_is_downloaded(name: str, tmp_path, monkeypatch) -> None:
    from sacrebleu.tokenizers import tokenizer_spm

    def download(*arguments: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(tokenizer_spm, "download_file", download)
    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=rf"{name!r} needs .*{tmp_path.name}.*; fetch http"):
        check_metrics(["bleu"], bleu_tokenize=name)
    with pytest.raises(ValueError, match="nothing is downloaded"):
        corpus_metrics(*CHINESE, ["bleu"], bleu_tokenize=name)

    # In the cache but no model.
    path = tmp_path / "models" / tokenizer_spm.SPM_MODELS[name]["url"].rsplit("/", 1)[-1]
    path.parent.mkdir()
    path.write_bytes(b"<html>")
    with pytest.raises(ValueError, match="may be damaged"):
        check_metrics(["bleu"], bleu_tokenize=name)


def test_a_tokenizer_in_the_cache_is_used(tmp_path, monkeypatch) -> None:
    import io

    import sentencepiece
    from sacrebleu.tokenizers import tokenizer_spm

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*CHINESE[0], *CHINESE[1]]),
        model_writer=model,
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "flores200sacrebleuspm").write_bytes(model.getvalue())
    measured = corpus_metrics(*CHINESE, ["bleu"], bleu_tokenize="flores200")
    expected = sacrebleu.corpus_bleu(CHINESE[0], [CHINESE[1]], tokenize="flores200").score
    assert measured["bleu"] == expected > 0
    assert "|tok:flores200|" in str(measured["bleu_signature"])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("zh", "zh"),
        ("zho_Hant", "zh"),
        (">>cmn_Hans<<", "zh"),
        ("yue", "zh"),
        ("nan_Latn", "words"),
        ("ja-JP", "ja"),
        ("__ko__", "ko"),
        ("my_MM", "characters"),
        ("khm_Khmr", "characters"),
        ("cjk_Latn", "words"),
        ("srp_Cyrl", "words"),
        ("de_DE", None),
        ("en", None),
        ("java", None),
        ("", None),
    ],
)
def test_codes_of_languages(code: str, expected: str | None) -> None:
    assert of_code(code) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["GDP 增长 5%", "今天天气很好"], "zh"),
        (["東京は日本の首都です"], "ja"),
        (["他说「の」是日语, 中文里没有这个词"], "zh"),
        (["나는 API 를 쓴다"], "ko"),
        (["ພາສາລາວ"], "characters"),
        (["Wort", "单词 is Chinese for word"], "words"),
        (["हिन्दी", "العربية"], "words"),
        (["123 !?"], "words"),
        ([""], "words"),
    ],
)
def test_scripts_of_texts(texts: list[str], expected: str) -> None:
    assert of_texts(texts) == expected


def test_several_languages_of_one_kind_and_of_two() -> None:
    assert segmentation(["de", "fr", None], REFERENCES)[0] == "words"
    assert segmentation(["zh_CN", "zho_Hant"], CHINESE[1]) == (
        "zh",
        "the target language is zh_CN, zho_Hant",
    )
    with pytest.raises(ValueError, match=r"in de, zh, .*bleu_tokenize"):
        segmentation(["de", "zh"], CHINESE[1])


def _preprocessor(languages=None, options=None, **target):
    tokenizer = SimpleNamespace()
    if options is not None:
        declared = SimpleNamespace(options=options)
        tokenizer.files = SimpleNamespace(declared=lambda: declared)
    ids = {"decoder_start": 2, "forced_bos": None, **target}
    special = SimpleNamespace(languages=languages, target=SimpleNamespace(**ids))
    return SimpleNamespace(special_ids=special, target=tokenizer)


def _languages(target: str, default: str | None = None):
    return SimpleNamespace(codes={"en": 7, "zh": 8}, target=target, default_target=default)


@pytest.mark.parametrize(
    ("preprocessor", "expected"),
    [
        (None, None),
        (_preprocessor(), None),
        (_preprocessor(options={}), None),
        (_preprocessor(options={"target_lang": "zh"}), "zh"),
        (_preprocessor(_languages("forced_bos")), None),
        (_preprocessor(_languages("forced_bos", "zh")), "zh"),
        (_preprocessor(_languages("forced_bos"), forced_bos=8), "zh"),
        (_preprocessor(_languages("decoder_start"), decoder_start=8), "zh"),
        (_preprocessor(_languages("source_prefix"), decoder_start=8, forced_bos=8), None),
    ],
)
def test_the_language_that_a_model_says(preprocessor, expected: str | None) -> None:
    assert target_language(preprocessor) == expected


# --------------------------------------------------------------------------------------
# ROUGE
# --------------------------------------------------------------------------------------


def _own_rouge(hypotheses: list[str], references: list[str]) -> dict[str, float]:
    scorer = RougeScorer(list(ROUGE))
    rows = [scorer.score(r, h) for h, r in zip(hypotheses, references, strict=True)]
    return {name: 100 * sum(row[name].fmeasure for row in rows) / len(rows) for name in ROUGE}


ENGLISH = (
    ["The cat sat on the mat, didn't it? A café.", "U.S. GDP grew 3.5 % in 2024."],
    ["The cat was sitting on a mat; naïve café.", "In 2024 the U.S. economy grew by 3.5%."],
)


@pytest.mark.parametrize("tgt_lang", ["en", "en_XX", "eng_Latn"])
def test_rouge_of_english_is_rouge_scores(tgt_lang: str) -> None:
    measured = corpus_metrics(*ENGLISH, ["rouge"], tgt_lang=tgt_lang)
    expected = _own_rouge(*ENGLISH)
    assert {name: measured[name] for name in ROUGE} == pytest.approx(expected)
    assert min(expected.values()) > 0
    assert "|tok:rouge-score|version:0.1." in str(measured["rouge_signature"])
    plain = [text.replace("é", "e").replace("ï", "i") for text in ENGLISH[1]]
    unnamed = corpus_metrics(ENGLISH[0], plain, ["rouge"])
    assert "|tok:rouge-score|" in str(unnamed["rouge_signature"])


@given(st.lists(st.text("aB1_.,'- \tz9"), min_size=2, max_size=2))
def test_unicode_words_are_rouge_scores_on_ascii(texts: list[str]) -> None:
    ours = rouge_scores(texts[:1], texts[1:], Words())
    assert ours == pytest.approx(_own_rouge(texts[:1], texts[1:]))


@pytest.mark.parametrize(
    ("code", "hypothesis", "reference"),
    [
        ("ko", *KOREAN),
        ("zh", *CHINESE),
        ("ja", *JAPANESE),
        ("th", *THAI),
        ("ar", ["الطقس اليوم جميل جدا"], ["الطقس جميل جدا اليوم"]),
        ("hi", ["आज मौसम बहुत अच्छा है"], ["आज का मौसम बहुत अच्छा है"]),
        ("ru", ["Сегодня очень хорошая погода"], ["Погода сегодня очень хорошая"]),
        ("el", ["Ο καιρός είναι καλός"], ["Ο καιρός σήμερα είναι καλός"]),
        ("fa", ["می‌خواهم به خانه بروم"], ["می‌خواهم به خانه‌ام بروم"]),
        ("my", ["နေကောင်းလား"], ["နေကောင်းပါသလား"]),
    ],
)
def test_rouge_of_other_scripts(code: str, hypothesis: list[str], reference: list[str]) -> None:
    assert max(_own_rouge(hypothesis, reference).values()) == 0
    for named in (code, None):
        measured = corpus_metrics(hypothesis, reference, ["rouge"], tgt_lang=named)
        assert 0 < measured["rouge2"] <= measured["rouge1"] <= 100
        assert corpus_metrics(reference, reference, ["rouge"], tgt_lang=named)["rougeL"] == 100
        assert str(measured["rouge_signature"]).startswith("nrefs:1|case:lc|stem:no|tok:")


def test_words_by_hand() -> None:
    tokenize = Words().tokenize
    assert tokenize("Läuft's? हिन्दी 1,5 snake_case") == [
        "läuft",
        "s",
        "हिन्दी",
        "1",
        "5",
        "snake",
        "case",
    ]
    assert tokenize("cafe\u0301 CAFÉ") == ["café", "café"]
    assert tokenize("می‌خواهم \u200c \u0301") == ["می‌خواهم"]
    assert tokenize("“don’t” — ½") == ["don", "t", "½"]
    measured = corpus_metrics(["今天天气，好！"], ["今天天气好"], ["rouge"], tgt_lang="zh")
    assert [measured[name] for name in ROUGE] == [100, 100, 100]


# --------------------------------------------------------------------------------------
# Refusals
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hypotheses", "references", "metrics", "options", "message"),
    [
        (["a"], ["a", "b"], ["bleu"], {}, "1 hypotheses but 2 references"),
        ([], [], ["bleu"], {}, "nothing to measure"),
        (["a"], ["a"], ["meteor"], {}, "unknown metric 'meteor'; .*rouge"),
        (["a"], ["a"], ["bleu"], {"bleu_tokenize": "zn"}, "bleu_tokenize is 'zn'; .* zh, "),
        (["a"], ["a"], ["chrf"], {"bleu_tokenize": "zh"}, "bleu is not among the metrics"),
        (["a"], ["a"], ["bleu"], {"tgt_lang": ["zh", "ja"]}, "one language at a time"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    hypotheses, references, metrics, options, message
) -> None:
    with pytest.raises(ValueError, match=message):
        corpus_metrics(hypotheses, references, metrics, **options)


def test_a_missing_package_is_named_before_any_work() -> None:
    code = (
        "import sys; sys.modules['rouge_score'] = sys.modules['MeCab'] = None\n"
        "sys.modules['mecab_ko'] = None\n"
        "from keras_s2s.text_metrics.corpus_metrics import check_metrics\n"
        "for arguments in ((['rouge'], None), (['bleu'], 'ja-mecab'), (['bleu'], 'ko-mecab')):\n"
        "    try: check_metrics(arguments[0], bleu_tokenize=arguments[1])\n"
        "    except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rouge, ja, ko = done.stdout.splitlines()
    assert "pip install rouge-score" in rouge
    assert "ja-mecab needs MeCab" in ja and "sacrebleu[ja]" in ja
    assert "ko-mecab needs MeCab" in ko and "sacrebleu[ko]" in ko


def test_the_signature_is_known_before_anything_is_measured() -> None:
    metrics = TextMetrics(["bleu", "chrf", "exact_match"], CHINESE[1])
    assert sorted(metrics.signatures) == [
        "bleu_signature",
        "chrf_signature",
        "exact_match_signature",
    ]
    assert (
        corpus_metrics(*CHINESE, ["bleu", "chrf"])["chrf_signature"]
        == (metrics.signatures["chrf_signature"])
    )
