"""Tiny CTranslate2 folders, written by that package's own converters from random models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keras_s2s.checkpoints.ctranslate2.reader import read_ctranslate2_folder
from keras_s2s.model import Seq2SeqLM

VOCABULARY = 23
#: Weights as large as this make decisions clear: random models are else nearly indifferent.
SCALE = 0.35


class FakeTokenizer:
    """What the converters ask a Hugging Face tokenizer for."""

    num_madeup_words = 0
    special_tokens_map: ClassVar[dict[str, Any]] = {}

    def __init__(self, tokens: list[str], **special: str) -> None:
        self.tokens = tokens
        self.special = special

    def get_vocab(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    def convert_ids_to_tokens(self, i: int) -> str:
        return self.tokens[i]

    def __getattr__(self, name: str) -> Any:
        special = self.__dict__.get("special", {})
        if name.endswith("_id") and name[:-3] in special:
            return self.tokens.index(special[name[:-3]])
        if name in special:
            return special[name]
        raise AttributeError(name)


def tokens_with(special: dict[int, str]) -> list[str]:
    return [special.get(i, f"t{i}") for i in range(VOCABULARY)]


BART_TOKENS = tokens_with({0: "<s>", 1: "<pad>", 2: "</s>", 3: "<unk>"})
BART_SPECIAL = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
}
T5_TOKENS = tokens_with({0: "<pad>", 1: "</s>", 2: "<unk>"})
T5_SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
MARIAN_TOKENS = tokens_with({0: "</s>", 1: "<unk>", VOCABULARY - 1: "<pad>"})


def randomised(model: Any) -> Any:
    """Every weight drawn anew, norms around 1; tables that are computed stay."""
    import torch

    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            computed = "embed_positions" in name and not learned(model)
            if computed or not parameter.requires_grad:
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            norm = "norm" in name and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if norm else SCALE * noise)
        if hasattr(model, "final_logits_bias"):
            bias = model.final_logits_bias
            bias.copy_(torch.randn(bias.shape, generator=generator))
    return model.eval()


def learned(model: Any) -> bool:
    return model.config.model_type in ("bart", "mbart", "plbart")


def bart_like(name: str, loader: str, **options: Any) -> Callable[[], Any]:
    """A spec of the BART family, of unequal depths."""

    def make() -> Any:
        import transformers
        from ctranslate2.converters import transformers as converters

        config = getattr(transformers, f"{name}Config")(
            **{
                "vocab_size": VOCABULARY,
                "d_model": 12,
                "encoder_layers": 1,
                "decoder_layers": 2,
                "encoder_attention_heads": 3,
                "decoder_attention_heads": 3,
                "encoder_ffn_dim": 10,
                "decoder_ffn_dim": 14,
                "max_position_embeddings": 30,
                "dropout": 0.0,
                "normalize_before": False,
                **options,
            }
        )
        cls = "MarianMTModel" if name == "Marian" else f"{name}ForConditionalGeneration"
        model = randomised(getattr(transformers, cls)(config))
        marian = name == "Marian"
        if marian:
            import torch

            with torch.no_grad():
                model.model.shared.weight[-1] = 0
        special = dict(BART_SPECIAL)
        tokenizer = FakeTokenizer(MARIAN_TOKENS if marian else BART_TOKENS, **special)
        return getattr(converters, loader)()(model, tokenizer)

    return make


def t5_like(name: str, loader: str, **options: Any) -> Callable[[], Any]:
    """A spec of the T5 family; its converter knows no other width of heads than d_model / heads."""

    def make() -> Any:
        import transformers
        from ctranslate2.converters import transformers as converters

        config = getattr(transformers, f"{name}Config")(
            **{
                "vocab_size": VOCABULARY,
                "d_model": 12,
                "d_kv": 4,
                "num_heads": 3,
                "d_ff": 10,
                "num_layers": 2,
                "num_decoder_layers": 2,
                "relative_attention_num_buckets": 8,
                "relative_attention_max_distance": 12,
                "decoder_start_token_id": 0,
                **options,
            }
        )
        model = randomised(getattr(transformers, f"{name}ForConditionalGeneration")(config))
        return getattr(converters, loader)()(model, FakeTokenizer(T5_TOKENS, **T5_SPECIAL))

    return make


def opennmt(**options: Any) -> Callable[[], Any]:
    """A spec as OpenNMT's converters fill it: computed sinusoids, two vocabularies."""

    def make() -> Any:
        from ctranslate2.specs import model_spec, transformer_spec

        spec = transformer_spec.TransformerSpec.from_config((2, 1), 2, **options)
        rng = np.random.default_rng(3)
        width, inner, sizes = 8, 12, {"encoder": VOCABULARY + 4, "decoder": VOCABULARY}

        def fill(part: Any, name: str, value: Any) -> None:
            scope, _, last = name.rpartition("/")
            side, kind = name.split("/")[0], scope.rpartition("/")[2]
            if last == "gamma":
                array = 1 + 0.2 * rng.normal(size=width)
            elif last == "beta":
                array = 0.2 * rng.normal(size=width)
            elif last in ("weight", "bias") and kind != "position_encodings":
                attention = scope.split("/")[-2].endswith("attention")
                rows, columns = width, width
                if kind.startswith("embeddings") or kind == "projection":
                    rows = sizes[side]
                elif kind == "linear_0" and not attention:
                    rows = inner
                elif kind == "linear_1" and not attention:
                    columns = inner
                elif kind == "linear_0" and "self_attention" in scope:
                    rows = 3 * width
                elif kind == "linear_1" and "self_attention" not in scope:
                    rows = 2 * width
                if last == "bias" and kind.startswith("embeddings"):
                    return
                array = 0.5 * rng.normal(size=(rows, columns) if last == "weight" else rows)
            else:
                return
            setattr(part, last, array.astype(np.float32))

        model_spec.visit_spec(spec, fill)
        source = ["<blank>", "<s>", "</s>", *(f"s{i}" for i in range(VOCABULARY)), "<unk>"]
        spec.register_source_vocabulary(source)
        spec.register_target_vocabulary(tokens_with({0: "<unk>", 1: "<s>", 2: "</s>"}))
        spec.config.add_source_bos = True
        spec.config.add_source_eos = True
        return spec

    return make


#: Everything that a folder may say, each at least once.
SPECS: dict[str, Callable[[], Any]] = {
    "bart": bart_like("Bart", "BartLoader", activation_function="gelu"),
    "plbart_like": bart_like("Bart", "BartLoader", scale_embedding=True),
    "mbart": bart_like(
        "MBart", "MBartLoader", normalize_before=True, tokenizer_class="MBart50Tokenizer"
    ),
    "marian": bart_like(
        "Marian",
        "MarianMTLoader",
        activation_function="swish",
        pad_token_id=VOCABULARY - 1,
        eos_token_id=0,
        decoder_start_token_id=VOCABULARY - 1,
        scale_embedding=True,
    ),
    "m2m_100": bart_like("M2M100", "M2M100Loader", activation_function="relu"),
    "pegasus": bart_like(
        "Pegasus",
        "PegasusLoader",
        normalize_before=True,
        normalize_embedding=False,
        pad_token_id=1,
    ),
    "t5": t5_like("T5", "T5Loader"),
    "t5_gated": t5_like(
        "T5",
        "T5Loader",
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        num_decoder_layers=1,
    ),
    "umt5": t5_like("UMT5", "UMT5Loader", feed_forward_proj="gated-gelu"),
    "opennmt": opennmt(),
    "opennmt_post_norm": opennmt(pre_norm=False),
}


def write(spec: Any, folder: Path, quantization: str | None = None) -> Path:
    """A folder as the package's converters write it."""
    spec.validate()
    spec.optimize(quantization=quantization)
    folder.mkdir(parents=True)
    spec.save(str(folder))
    return folder


def load(folder: Path, tokenizer: Any = None, **options: Any) -> Seq2SeqLM:
    """The folder as a model; every weight is given exactly once."""
    config, preprocessor, weights = read_ctranslate2_folder(folder, tokenizer, **options)
    model = Seq2SeqLM(config, preprocessor)
    given = [(path, array.shape, array.dtype) for path, array in weights]
    assert len(given) == len({path for path, *_ in given}), "some are given twice"
    assert {path: shape for path, shape, _ in given} == weights.shapes()
    assert {dtype for *_, dtype in given} == {np.dtype("float32")}
    weights.assign(model.weights)
    return model
