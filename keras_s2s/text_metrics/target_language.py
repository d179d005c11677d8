"""Decides how the words of a language are found: by spaces, or by a segmenter.

BLEU and ROUGE compare words. How these are found depends on the target language: the one a call
names, or else the model's own; where neither is known, on the script of the references.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor

#: How words are found: `characters` for scripts that put no spaces between them and have
#: no segmenter in sacreBLEU, `words` for those that do.
Segmentation = Literal["zh", "ja", "ko", "characters", "words"]

_LANGUAGES: dict[Segmentation, str] = {
    "zh": "zh zho chi cmn yue wuu nan hak gan hsn cdo lzh",
    "ja": "ja jpn jap jp",
    "ko": "ko kor",
    "characters": "th tha lo lao km khm my mya bo bod dz dzo shn",
}
# ISO 15924. A code's script is stronger than its language: `nan_Latn` is written with spaces.
_SCRIPTS: dict[Segmentation, str] = {
    "zh": "hans hant hani",
    "ja": "jpan hira kana",
    "ko": "kore hang",
    "characters": "thai laoo khmr mymr tibt",
}

_HAN = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc\u31f0-\u31ff\uff66-\uff9d]")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
_NO_SPACES = re.compile("[\u0e00-\u0eff\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3\uaa60-\uaa7f]")

#: References that are looked at for their script.
_SAMPLE = 2000


def of_code(code: str) -> Segmentation | None:
    """Returns the segmentation for a language code; None where the language has no special one.

    Args:
        code: in any of the forms in use: `zh`, `zh_CN`, `zho_Hans`, `>>cmn_Hans<<`, `ja-JP`.

    Example:
        >>> of_code("zho_Hant"), of_code("nan_Latn"), of_code("de_DE")
        ('zh', 'words', None)
    """
    first, *more = re.split("[_-]", code.strip("<>_").lower())
    for part in more:
        if len(part) == 4 and part.isalpha():
            return _way(_SCRIPTS, part) or "words"
    return _way(_LANGUAGES, first)


def of_texts(texts: Sequence[str]) -> Segmentation:
    """Returns the segmentation for the script of most letters in some texts.

    Example:
        >>> of_texts(["今天天气很好。"]), of_texts(["今日はいい天気です。"]), of_texts(["Good."])
        ('zh', 'ja', 'words')
    """
    text = "".join(texts[:_SAMPLE])
    found = {
        "han": len(_HAN.findall(text)),
        "kana": len(_KANA.findall(text)),
        "ko": len(_HANGUL.findall(text)),
        "characters": len(_NO_SPACES.findall(text)),
    }
    half = max(sum(map(str.isalpha, text)), sum(found.values())) / 2
    if found["ko"] > half:
        return "ko"
    if found["characters"] > half:
        return "characters"
    if found["han"] + found["kana"] > half:
        # A Chinese text may quote a word in kana; a Japanese one hardly does without them.
        return "ja" if 9 * found["kana"] > found["han"] else "zh"
    return "words"


def segmentation(
    tgt_lang: str | Sequence[str | None] | None, references: Sequence[str]
) -> tuple[Segmentation, str]:
    """Returns how words of the references are found, and the reason as a phrase.

    Args:
        tgt_lang: their language, or one for each; None where it is not known.
        references: the texts.

    Returns:
        the segmentation, and a phrase that says what it follows.

    Raises:
        ValueError: the languages of a list need different ones.
    """
    codes = [tgt_lang] if isinstance(tgt_lang, str) else list(tgt_lang or ())
    named = list(dict.fromkeys(code for code in codes if code))
    ways = {of_code(code) for code in named}
    if len({way or "words" for way in ways}) > 1:
        raise ValueError(
            f"the targets are in {', '.join(named)}, whose words are found in different ways; "
            "measure one language at a time, or name one tokenizer for all with bleu_tokenize"
        )
    way = next(iter(ways), None)
    if way is not None and None not in ways:
        return way, f"the target language is {', '.join(named)}"
    # Also where a language was named: texts that are clearly in another script are.
    return of_texts(references), "it is the script of the references"


def target_language(preprocessor: Preprocessor | None) -> str | None:
    """Returns the language that a model generates by default; None where it does not say.

    It is told by the default target language (`in_languages`), the language that decoding is forced
    to begin with, or `target_lang` in the tokenizer configuration of a Marian folder, never by the
    name of a folder.
    """
    if preprocessor is None:
        return None
    special_ids = preprocessor.special_ids
    languages = special_ids.languages
    if languages is not None:
        if languages.default_target is not None:
            return languages.default_target
        start = special_ids.target.decoder_start, special_ids.target.forced_bos
        begins = {"decoder_start": start[0], "forced_bos": start[1], "source_prefix": None}
        i = begins[languages.target]
        return next((code for code, known in languages.codes.items() if known == i), None)
    files = getattr(preprocessor.target, "files", None)
    if files is None:
        return None
    declared = files.declared().options.get("target_lang")
    return declared if isinstance(declared, str) else None


def _way(table: dict[Segmentation, str], code: str) -> Segmentation | None:
    return next((way for way, codes in table.items() if code in codes.split()), None)
