"""Tables of the zoo: the presets, or every setting of one preset."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from keras_s2s import catalog
from keras_s2s.cli.tables import print_table
from keras_s2s.config import (
    ArchitectureConfig,
    DecoderConfig,
    EncoderConfig,
    PointerConfig,
    PresetConfig,
    RecurrentEncoderConfig,
    StackConfig,
)


def print_zoo() -> None:
    """Prints the presets: architectures to train, then public checkpoints by family."""
    architectures, families = [], dict[str, list[tuple[str, ...]]]()
    for name in catalog.list_presets():
        entry = catalog.load_entry(name)
        if entry.source is not None:
            families.setdefault(entry.family or "", []).append(_checkpoint(name, entry))
        elif isinstance(entry, PresetConfig):
            architectures.append(_architecture(name, entry))
    columns = ("name", "type", "sizes", "parameters", "description")
    print_table(columns, architectures, title="Architectures, to be trained")
    for family, rows in families.items():
        print()
        about = catalog.load_family(family)["description"].rstrip(".")
        title = f"Checkpoints: {about}" if family else "Checkpoints"
        print_table(("name", "size", "license", "source"), rows, title=title)
    halves = {name: catalog.load_half(name) for name in catalog.list_halves()}
    print()
    print_table(
        ("name", "source"),
        [(name, half.source) for name, half in halves.items()],
        title="Halves: encoders, decoders (warm start)",
    )


def print_markdown() -> None:
    """Prints the tables of docs/presets.md, one for each family."""
    columns = ("name", "size", "tokenizer", "license", "source", "description")
    entries = {name: catalog.load_entry(name) for name in catalog.list_presets()}
    groups: dict[str, list[str]] = {}
    for name, entry in entries.items():
        groups.setdefault(entry.family or "", []).append(name)
    for number, (family, names) in enumerate(sorted(groups.items())):
        if number:
            print()
        print(f"## {family}\n\n{catalog.load_family(family)['description']}\n")
        print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
        for name in names:
            entry = entries[name]
            size = _millions(entry.parameters) if isinstance(entry, PresetConfig) else ""
            kind = entry.text.source.kind if entry.text else ""
            cells = (f"`{name}`", size, kind, entry.license or "", _link(entry.source))
            print(f"| {' | '.join(cells)} | {entry.description} |")
    _print_halves()


def _print_halves() -> None:
    """Prints the table of encoders and decoders that are put together."""
    print("\n## Encoders and decoders\n\nFor `Seq2SeqLM.from_encoder_decoder(ENCODER, DECODER)`.\n")
    print(f"| name | license | source | description |\n|{' --- |' * 4}")
    for name in catalog.list_halves():
        half = catalog.load_half(name)
        cells = (f"`{name}`", half.license or "", _link(half.source), half.description)
        print(f"| {' | '.join(cells)} |")


def _link(source: str | None) -> str:
    """Returns a link to a page of the hub in Markdown; empty for an architecture without
    weights.
    """
    name = (source or "").removeprefix("hf://")
    return f"[{name}](https://huggingface.co/{name})" if name else ""


def print_preset(name: str) -> None:
    """Prints a preset: every setting with its value and meaning, defaults and bases resolved."""
    preset = catalog.load_entry(name)
    chain = [str(path) for path in catalog.preset_chain(name)]
    files = [("file", chain[0], "")] + [("base", base, "") for base in chain[1:]]
    for number, section in enumerate(_sections(name, preset)):
        if number:
            print()
        rows = files + section.rows if number == 0 else section.rows
        print_table(("setting", "value", "meaning"), rows, title=section.title)


class Section(NamedTuple):
    """The settings of one configuration class, as rows (setting, value, meaning)."""

    title: str
    rows: list[tuple[str, str, str]]


def _sections(title: str, config: BaseModel, path: str = "") -> list[Section]:
    """Returns a section of the plain settings, then the sections of each part, with dotted
    names.
    """
    rows, parts = [], []
    for key, declared in type(config).model_fields.items():
        value = getattr(config, key)
        inner = f"{path}.{key}" if path else key
        if isinstance(value, BaseModel):
            parts.extend(_sections(inner, value, inner))
        else:
            rows.append((key, _as_yaml(value), declared.description or ""))
    return [Section(title, rows), *parts] if rows else parts


def _as_yaml(value: Any) -> str:
    """Returns a value as it is written in a zoo file."""
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n...\n").strip()


# --------------------------------------------------------------------------------------
# One preset in a line
# --------------------------------------------------------------------------------------


def _architecture(name: str, preset: PresetConfig) -> tuple[str, ...]:
    """Returns the row of an architecture without weights."""
    parameters = "" if preset.parameters is None else f"{preset.parameters:,}"
    about = preset.description + (f" [{preset.paper.split(',')[0]}]" if preset.paper else "")
    architecture = preset.architecture
    return name, _kind(architecture), _sizes(architecture), parameters, about


def _checkpoint(name: str, entry: PresetConfig | PointerConfig) -> tuple[str, ...]:
    """Returns the row of a public checkpoint; a size that only its folder has is left empty."""
    parameters = entry.parameters if isinstance(entry, PresetConfig) else None
    return name, _millions(parameters), entry.license or "", str(entry.source)


def _millions(parameters: int | None) -> str:
    """Returns a count in readable form: `61 M`, `2.85 B`."""
    if parameters is None:
        return ""
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.0f} M"


def _kind(architecture: ArchitectureConfig) -> str:
    encoder, decoder = architecture.encoder, architecture.decoder
    if encoder.type == decoder.type == "transformer":
        return "transformer"
    attention = getattr(decoder, "attention", None)
    kind = " to ".join(dict.fromkeys((_block(encoder), _block(decoder))))
    return f"{kind}, {attention.score} attention" if attention else kind


def _block(side: EncoderConfig | DecoderConfig) -> str:
    return str(getattr(side, "cell", side.type))


def _sizes(architecture: ArchitectureConfig) -> str:
    encoder, decoder = _side_sizes(architecture.encoder), _side_sizes(architecture.decoder)
    depths = [
        getattr(part, "num_layers", 1) for part in (architecture.encoder, architecture.decoder)
    ]
    layers = f"{depths[0]}+{depths[1]} layers"
    return f"{layers}, {encoder}" if encoder == decoder else f"{layers}, {encoder} to {decoder}"


def _side_sizes(side: EncoderConfig | DecoderConfig) -> str:
    if isinstance(side, StackConfig):
        return f"hidden {side.hidden_dim}, ffn {side.intermediate_dim}, {side.num_heads} heads"
    both_ways = isinstance(side, RecurrentEncoderConfig) and side.bidirectional
    return f"hidden 2x{side.hidden_dim}" if both_ways else f"hidden {side.hidden_dim}"
