"""The model in each library: built, and filled with the weights that all share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generation.model import (
    OUTPUT_BIAS,
    POSITIONS,
    STATE_FILE,
    BenchmarkError,
    Model,
    entries,
    one_path,
    position_table,
)

#: Our names of activations -> transformers'.
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "silu": "silu"}


def architecture(model: Model) -> dict[str, Any]:
    """What `Seq2SeqLM.from_architecture` takes."""
    return {
        "source_vocab_size": model.vocabulary,
        "target_vocab_size": model.vocabulary,
        "shared": {
            "type": "transformer",
            "hidden_dim": model.hidden,
            "num_heads": model.heads,
            "intermediate_dim": model.ffn,
            "activation": model.activation,
            "norm_order": "pre" if model.pre_norm else "post",
            "norm_epsilon": model.norm_epsilon,
            "embedding": {"positions": "sinusoidal", "scale": model.scale},
        },
        "encoder": {"num_layers": model.encoder_layers},
        "decoder": {"num_layers": model.decoder_layers},
        "share_embeddings": True,
        "output": {"tie_embeddings": True, "bias": model.output_bias},
    }


def keras_s2s_model(folder: Path) -> Any:
    """Our model, under the running backend and dtype policy; it works on ids."""
    from safetensors import safe_open

    import keras_s2s as s2s

    model = Model.read(folder)
    if model.preset is not None:
        built = s2s.Seq2SeqLM.from_preset(model.preset)
        built.preprocessor = None  # no engine here makes text of its ids
        return built
    special = {
        "source": {"pad": model.pad, "unk": model.unk, "eos": model.eos},
        "target": {
            "pad": model.pad,
            "unk": model.unk,
            "eos": model.eos,
            "decoder_start": model.decoder_start,
        },
    }
    built = s2s.Seq2SeqLM.from_architecture(architecture(model), special_ids=special)
    variables = {variable.path: variable for variable in built.weights}
    left = set(variables)
    with safe_open(folder / STATE_FILE, framework="numpy") as file:
        for name, ours, _, kind in entries(model):
            path = one_path(ours, list(variables), "the model that from_architecture built")
            value = file.get_tensor(name)
            variables[path].assign(value.T if kind == "matrix" else value)
            left.discard(path)
    if left:
        raise BenchmarkError(f"weights without a counterpart in transformers: {sorted(left)}")
    return built


def transformers_model(folder: Path) -> Any:
    """The same network in transformers, float32 on the CPU, ready to generate."""
    import torch
    import transformers
    from safetensors.torch import load_file

    model = Model.read(folder)
    options: dict[str, Any] = dict(
        vocab_size=model.vocabulary,
        d_model=model.hidden,
        encoder_layers=model.encoder_layers,
        decoder_layers=model.decoder_layers,
        encoder_attention_heads=model.heads,
        decoder_attention_heads=model.heads,
        encoder_ffn_dim=model.ffn,
        decoder_ffn_dim=model.ffn,
        activation_function=ACTIVATIONS[model.activation],
        scale_embedding=model.scale,
        max_position_embeddings=POSITIONS,
        pad_token_id=model.pad,
        eos_token_id=model.eos,
        decoder_start_token_id=model.decoder_start,
        bos_token_id=model.decoder_start,
        forced_eos_token_id=None,
        tie_word_embeddings=True,
    )
    if model.pre_norm:
        built: Any = transformers.PegasusForConditionalGeneration(
            transformers.PegasusConfig(**options)
        )
    else:
        built = transformers.MarianMTModel(
            transformers.MarianConfig(**options, decoder_vocab_size=model.vocabulary)
        )
    state = load_file(folder / STATE_FILE)
    table = state["model.shared.weight"]
    for name in ("model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"):
        state[f"{name}.weight"] = table
    positions = torch.from_numpy(position_table(model))
    for side in ("encoder", "decoder"):
        state[f"model.{side}.embed_positions.weight"] = positions
    state[OUTPUT_BIAS] = state.get(OUTPUT_BIAS, torch.zeros(model.vocabulary))[None]
    built.load_state_dict(state)
    for module in built.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = model.norm_epsilon
    return built.eval()


def convert_to_ctranslate2(folder: Path, directory: Path) -> None:
    """Write the model into `directory` through CTranslate2's converter, in float32."""
    from ctranslate2.converters import Converter
    from ctranslate2.converters.transformers import BartLoader

    model = Model.read(folder)
    words = [word(i) for i in range(model.vocabulary)]

    class Loader(BartLoader):
        """BART's loader, not Marian's: that one takes the last id for a PAD and the decoder
        start for a vector of zeros, which holds for published Marian models only."""

        def get_vocabulary(self, built: Any, tokenizer: Any) -> list[str]:
            return words

        def set_config(self, config: Any, built: Any, tokenizer: Any) -> None:
            config.bos_token = config.decoder_start_token = words[model.decoder_start]
            config.eos_token = words[model.eos]
            config.unk_token = words[model.unk]
            config.layer_norm_epsilon = model.norm_epsilon

    class FromMemory(Converter):
        def _load(self) -> Any:
            built = transformers_model(folder)
            built.config.normalize_before = model.pre_norm
            built.config.normalize_embedding = False
            return Loader()(built, None)

    import torch

    with torch.no_grad():
        FromMemory().convert(str(directory), quantization="float32", force=True)


def word(token: int) -> str:
    """The name of an id in CTranslate2's vocabulary."""
    return f"w{token}"


def token(word: str) -> int:
    """The id of a name that `word` made."""
    return int(word[1:])
