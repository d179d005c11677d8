"""Says which files of a Hugging Face tokenizer are missing."""

from __future__ import annotations

from pathlib import Path

from keras_s2s.text.pretrained.auto import CLASS_OF_MODEL_TYPE
from keras_s2s.text.pretrained.tokenizer_files import (
    FAIRSEQ_MODEL,
    MARIAN_SOURCE,
    MARIAN_TARGET,
    MERGES,
    T5_MODEL,
    TOKENIZER_CONFIG,
    TOKENIZER_JSON,
    VOCAB,
    WORDPIECE_VOCAB,
    TokenizerFiles,
)

_SENTENCEPIECE = (T5_MODEL,), ("T5", "MT5", "UMT5", "Pegasus", "Albert")
_FAIRSEQ = (FAIRSEQ_MODEL,), ("MBart", "MBart50", "Nllb", "XLMRoberta", "Camembert", "PLBart")
_MERGES = (VOCAB, MERGES), ("Bart", "Roberta", "GPT2", "LED", "Mvp", "Blenderbot")
_WORDPIECE = (WORDPIECE_VOCAB,), ("Bert", "DistilBert", "Electra")
_OTHERS = (
    ((MARIAN_SOURCE, MARIAN_TARGET, VOCAB), ("Marian",)),
    ((VOCAB, FAIRSEQ_MODEL), ("M2M100",)),
    ((VOCAB, MERGES), ("BlenderbotSmall",)),
)
#: Class of transformers, without its ending, to the files that its slow tokenizer reads.
_NEEDS = {
    name: files
    for files, names in (_SENTENCEPIECE, _FAIRSEQ, _MERGES, _WORDPIECE, *_OTHERS)
    for name in names
}
#: Those that have no `tokenizer.json`.
_SLOW_ONLY = {"Marian", "M2M100", "PLBart", "BlenderbotSmall"}


def missing_tokenizer(
    folder: str | Path, model_type: str | None, config_class: str | None = None
) -> list[str]:
    """Returns a remark for a folder that names its tokenizer, and lacks the tokenizer's files.

    Args:
        folder: one without a vocabulary.
        model_type, config_class: `model_type` and `tokenizer_class` of its `config.json`.
    """
    files = TokenizerFiles.from_folder(folder)
    named = files.config().get("tokenizer_class")
    place = TOKENIZER_CONFIG if named else "config.json"
    named = named or config_class
    if named is None and TOKENIZER_CONFIG in files:
        place, named = "its model_type", CLASS_OF_MODEL_TYPE.get(model_type or "")
    if not isinstance(named, str):
        return []
    kind = named.removesuffix("Fast").removesuffix("Tokenizer")
    wanted = list(_NEEDS.get(kind, (TOKENIZER_JSON,)))
    either = f", or {TOKENIZER_JSON}," if kind not in _SLOW_ONLY and kind in _NEEDS else ""
    verb = "is" if len(wanted) == 1 else "are"
    return [
        f"{place} names a {named}, but {' and '.join(wanted)}{either} {verb} missing: the model "
        "works on ids"
    ]
