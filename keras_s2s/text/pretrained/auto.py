"""Reads the tokenizers of a Hugging Face folder with the class that transformers would choose.

The class is chosen as `AutoTokenizer.from_pretrained` of transformers 5 chooses it: the
`tokenizer_class` of `tokenizer_config.json` or `config.json`, or else the model type's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keras_s2s.config import ConfigError, LanguagesConfig, SpecialIds
from keras_s2s.text.languages import languages_of
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained.base import PretrainedTokenizer
from keras_s2s.text.pretrained.bert_generation import BertGenerationTokenizer
from keras_s2s.text.pretrained.blenderbot_small import BlenderbotSmallTokenizer
from keras_s2s.text.pretrained.byt5 import ByT5Tokenizer
from keras_s2s.text.pretrained.m2m_100 import M2M100Tokenizer
from keras_s2s.text.pretrained.marian import MarianTokenizer
from keras_s2s.text.pretrained.pipelines.pipeline_builders import BUILDERS
from keras_s2s.text.pretrained.pipelines.pipeline_tokenizer import PipelineTokenizer
from keras_s2s.text.pretrained.plbart import PLBartTokenizer
from keras_s2s.text.pretrained.tokenizer_files import (
    FAIRSEQ_MODEL,
    MERGES,
    T5_MODEL,
    TOKENIZER_CONFIG,
    TOKENIZER_JSON,
    VOCAB,
    VOCABULARY_FILES,
    WORDPIECE_VOCAB,
    TokenizerFiles,
)
from keras_s2s.text.pretrained.tokenizer_json import json_is_unigram

_GENERIC = "TokenizersBackend"

#: Model type to the tokenizer class of its own.
CLASS_OF_MODEL_TYPE: dict[str, str] = {
    "albert": "AlbertTokenizer",
    "bart": "RobertaTokenizer",
    "bert": "BertTokenizer",
    "bert-generation": "BertGenerationTokenizer",
    "blenderbot": "BlenderbotTokenizer",
    "blenderbot-small": "BlenderbotSmallTokenizer",
    "byt5": "ByT5Tokenizer",
    "camembert": "CamembertTokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "gpt2": "GPT2Tokenizer",
    "m2m_100": "M2M100Tokenizer",
    "marian": "MarianTokenizer",
    "mbart": "MBartTokenizer",
    "mt5": "T5Tokenizer",
    "nllb": "NllbTokenizer",
    "pegasus": "PegasusTokenizer",
    "plbart": "PLBartTokenizer",
    "roberta": "RobertaTokenizer",
    "t5": "T5Tokenizer",
    "umt5": _GENERIC,
    "xlm-roberta": "XLMRobertaTokenizer",
}

#: Other names under which folders know a class.
_ALIASES = {
    "BartTokenizer": "RobertaTokenizer",
    "ConvBertTokenizer": "BertTokenizer",
    "DistilBertTokenizer": "BertTokenizer",
    "ElectraTokenizer": "BertTokenizer",
    "LEDTokenizer": "RobertaTokenizer",
    "MvpTokenizer": "RobertaTokenizer",
    "MT5Tokenizer": "T5Tokenizer",
    "UMT5Tokenizer": "T5Tokenizer",
    "PreTrainedTokenizer": _GENERIC,
    "PythonBackend": _GENERIC,
}

_PYTHON: dict[str, type[PretrainedTokenizer]] = {
    "MarianTokenizer": MarianTokenizer,
    "M2M100Tokenizer": M2M100Tokenizer,
    "PLBartTokenizer": PLBartTokenizer,
    "BertGenerationTokenizer": BertGenerationTokenizer,
    "ByT5Tokenizer": ByT5Tokenizer,
    "BlenderbotSmallTokenizer": BlenderbotSmallTokenizer,
}


#: Classes whose template is EOS and a language, which a call may name.
_LANGUAGES_AROUND = {
    "MBartTokenizer",
    "MBart50Tokenizer",
    "NllbTokenizer",
    "M2M100Tokenizer",
    "PLBartTokenizer",
}


#: What reads these files where nothing names a class.
_BY_FILES = (
    ("T5Tokenizer", (T5_MODEL,)),
    ("MBartTokenizer", (FAIRSEQ_MODEL,)),
    ("RobertaTokenizer", (VOCAB, MERGES)),
    ("BertTokenizer", (WORDPIECE_VOCAB,)),
)


@dataclass(frozen=True)
class PretrainedTokenizers:
    """The tokenizers of a Hugging Face folder, and the ids that they put around a text.

    Attributes:
        source: tokenizer of the encoder's side.
        target: of the decoder's side; the same object but for Marian.
        languages: codes of a multilingual model, or None.
        bos: id that the tokenizer puts before every text, or None: `SourceIds.bos` and
            `TargetIds.bos`.
        eos: id that it puts after every text, or None: `SourceIds.eos`.
        class_name: the class of transformers that reads these files.
    """

    source: PretrainedTokenizer
    target: PretrainedTokenizer
    languages: LanguagesConfig | None
    bos: int | None
    eos: int | None
    class_name: str

    def preprocessor(self, special_ids: SpecialIds) -> Preprocessor:
        """Makes the preprocessor of a model with these tokenizers.

        Raises:
            ConfigError: tokenizers and ids do not belong together.
        """
        if special_ids.languages is None and self.languages is not None:
            special_ids = special_ids.model_copy(update={"languages": self.languages})
        return Preprocessor(self.source, self.target, special_ids)


def load_pretrained_tokenizers(
    folder: str | Path,
    model_type: str | None,
    *,
    config_class: str | None = None,
    source_size: int | None = None,
    target_size: int | None = None,
) -> PretrainedTokenizers | None:
    """Reads the tokenizer files of a Hugging Face folder.

    Args:
        folder: the folder.
        model_type: `model_type` of its `config.json`.
        config_class: `tokenizer_class` of its `config.json`, where that has one.
        source_size: ids of the model's encoder; a tokenizer may have fewer.
        target_size: ids of the model's decoder; the encoder's, where it is not given.

    Returns:
        the tokenizers, or None where the folder has none.

    Raises:
        FileNotFoundError: some of the files are there, but one that the class needs is not.
        ConfigError: a file cannot be read, or nothing here can read the class's files.

    Example:
        >>> tokenizers = load_pretrained_tokenizers("opus-mt-en-de", "marian")
        >>> tokenizers.source.decode(tokenizers.source.encode("Hello"))
        'Hello'
    """
    files = TokenizerFiles.from_folder(folder)
    class_name = tokenizer_class(files, model_type, config_class)
    if class_name is None:
        return None
    if target_size is None:
        target_size = source_size
    if class_name == "MarianTokenizer":
        source = make_tokenizer(files, class_name, source_size, "source")
        target = make_tokenizer(files, class_name, target_size, "target")
    else:
        sizes = [size for size in (source_size, target_size) if size is not None]
        source = target = make_tokenizer(files, class_name, max(sizes, default=None), "source")
    bos, eos = template_ids(source)
    return PretrainedTokenizers(source, target, languages_of(source), bos, eos, class_name)


def make_tokenizer(
    files: TokenizerFiles, class_name: str, size: int | None, side: Literal["source", "target"]
) -> PretrainedTokenizer:
    """Makes the tokenizer of one side.

    Args:
        files: the tokenizer files of a folder.
        class_name: the class of transformers that reads them, as `tokenizer_class` returns it.
        size: ids of the model on this side; None is the tokenizer's.
        side: which of its two tokenizers is meant, where a class has two (Marian).

    Raises:
        FileNotFoundError: a file that the class needs is missing.
        ConfigError: a file cannot be read, or the tokenizer has more ids than the model.
    """
    tokenizer: PretrainedTokenizer
    if class_name == "MarianTokenizer":
        tokenizer = MarianTokenizer(files, class_name, size, side)
    else:
        tokenizer = _PYTHON.get(class_name, PipelineTokenizer)(files, class_name, size)
    tokenizer.check_size()
    return tokenizer


def template_ids(tokenizer: PretrainedTokenizer) -> tuple[int | None, int | None]:
    """Returns the ids that a tokenizer puts before and after every text, or None.

    Raises:
        ConfigError: it puts more than one id before or after.
    """
    if tokenizer.class_name in _LANGUAGES_AROUND:
        return None, tokenizer.eos_id
    before, after = tokenizer.template
    if len(before) > 1 or len(after) > 1:
        raise ConfigError(
            f"{tokenizer.files.origin}/{TOKENIZER_JSON}: its template puts {len(before)} ids "
            f"before and {len(after)} after a text; at most one each can be used"
        )
    return next(iter(before), None), next(iter(after), None)


def tokenizer_class(
    files: TokenizerFiles, model_type: str | None, config_class: str | None = None
) -> str | None:
    """Returns the transformers class that reads `files`; None where there is nothing to read.

    Raises:
        ConfigError: no class here reads them.
    """
    own = CLASS_OF_MODEL_TYPE.get(model_type or "")
    written = files.config().get("tokenizer_class") or config_class
    name = _canonical(written) if isinstance(written, str) else None
    if not any(file in files for file in VOCABULARY_FILES):
        # ByT5 has no vocabulary file, and may have no files at all.
        byt5 = "ByT5Tokenizer" in (name, own)
        return "ByT5Tokenizer" if byt5 and (TOKENIZER_CONFIG in files or own) else None
    # UMT5's own class reads a tokenizer.json as it is, for any class that the folder names.
    if own == _GENERIC and TOKENIZER_JSON in files:
        return _GENERIC
    choice = name or own
    if choice == "T5Tokenizer" and TOKENIZER_JSON in files and not json_is_unigram(files):
        # A T5 of byte-pair merges (pko-T5): transformers 4 reads the file as it is, 5 not at all.
        return _GENERIC
    if choice in _PYTHON or (choice in BUILDERS and choice != _GENERIC):
        return choice
    if TOKENIZER_JSON in files:
        return _GENERIC
    if choice is None or own == _GENERIC:
        for name_of, needed in _BY_FILES:
            if all(file in files for file in needed):
                return name_of
    raise ConfigError(
        f"{files.origin}: its tokenizer files ({', '.join(sorted(files.contents))}) are for the "
        f"class {written!r} of model type {model_type!r}, which cannot be read here; add a "
        f"{TOKENIZER_JSON} (transformers writes it: AutoTokenizer.from_pretrained(DIR)"
        ".save_pretrained(DIR)), or remove the files to work on ids"
    )


def _canonical(name: str) -> str:
    name = name.removesuffix("Fast")
    return _ALIASES.get(name, name)
