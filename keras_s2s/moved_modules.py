"""Keeps old names of moved modules importable for one release, with a warning."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

PACKAGE = "keras_s2s"

#: Module in version 0.1: where it is now.
MOVED = {
    "alignment": "analysis.alignment",
    "checkpoints.config_table": "checkpoints.huggingface.config_table",
    "checkpoints.ctranslate2_file": "checkpoints.ctranslate2.model_file",
    "checkpoints.ctranslate2_reader": "checkpoints.ctranslate2.reader",
    "checkpoints.ctranslate2_variables": "checkpoints.ctranslate2.variables",
    "checkpoints.ctranslate2_vocabulary": "checkpoints.ctranslate2.vocabulary",
    "checkpoints.ctranslate2_writer": "checkpoints.ctranslate2.writer",
    "checkpoints.family": "checkpoints.huggingface.family",
    "checkpoints.foreign_names": "checkpoints.files.foreign_names",
    "checkpoints.generation_table": "checkpoints.huggingface.generation_table",
    "checkpoints.h5_file": "checkpoints.files.h5_file",
    "checkpoints.hub": "checkpoints.huggingface.hub",
    "checkpoints.huggingface_writer": "checkpoints.huggingface.writer",
    "checkpoints.key_table": "checkpoints.huggingface.key_table",
    "checkpoints.msgpack_file": "checkpoints.files.msgpack_file",
    "checkpoints.safetensors_file": "checkpoints.files.safetensors_file",
    "checkpoints.tensor_file": "checkpoints.files.tensor_file",
    "checkpoints.token_tables": "checkpoints.huggingface.token_tables",
    "checkpoints.torch_file": "checkpoints.files.torch_file",
    "checkpoints.transforms": "checkpoints.huggingface.transforms",
    "checkpoints.weight_files": "checkpoints.files.weight_files",
    "cli.convert": "cli.commands.convert",
    "cli.evaluate": "cli.commands.evaluate",
    "cli.generate": "cli.commands.generate",
    "cli.line_answers": "cli.lines.generation",
    "cli.line_input": "cli.lines.input",
    "cli.line_notes": "cli.lines.notes",
    "cli.line_output": "cli.lines.output",
    "cli.train": "cli.commands.train",
    "cli.zoo": "cli.commands.zoo",
    "data.buckets": "data.epochs.buckets",
    "data.checked_batches": "data.checks.checked_batches",
    "data.chinese_numerals": "data.dates.chinese_numerals",
    "data.delimited": "data.files.delimited",
    "data.drawn_pairs": "data.objectives.drawn_pairs",
    "data.encoding": "data.examples.encoding",
    "data.epoch_order": "data.epochs.order",
    "data.epoch_plans": "data.epochs.plans",
    "data.flat_ids": "data.checks.flat_ids",
    "data.given_texts": "data.checks.given_texts",
    "data.japanese_eras": "data.dates.japanese_eras",
    "data.limits": "data.checks.model_limits",
    "data.lines": "data.files.lines",
    "data.model_limits": "data.checks.model_limits",
    "data.objective": "data.objectives.objective",
    "data.ordinals": "data.dates.ordinals",
    "data.pairs": "data.files.pairs",
    "data.ragged": "data.examples.ragged",
    "data.sampled_pairs": "data.examples.sampled_pairs",
    "data.sentence_permutation": "data.objectives.sentence_permutation",
    "data.span_corruption": "data.objectives.span_corruption",
    "data.text_files": "data.files.text_files",
    "data.text_infilling": "data.objectives.text_infilling",
    "decoding.forced_phrases": "decoding.requests.forced_phrases",
    "decoding.grammars": "decoding.requests.grammars",
    "decoding.planning": "decoding.requests.planning",
    "decoding.read_sources": "decoding.requests.read_sources",
    "decoding.read_targets": "decoding.requests.read_targets",
    "decoding.request": "decoding.requests.request",
    "decoding.shortlisting": "decoding.requests.shortlisting",
    "export.in_graph_preprocessor": "export.in_graph.preprocessor",
    "export.in_graph_tokenizers": "export.in_graph.registry",
    "export.saved_model_readme": "export.saved_model.readme",
    "export.second_process": "export.saved_model.second_process",
    "generation": "decoding.generator",
    "layers.attention": "layers.recurrent.attention",
    "layers.bridge": "layers.recurrent.bridge",
    "layers.cache": "layers.transformer.cache",
    "layers.feed_forward": "layers.transformer.feed_forward",
    "layers.half_precision": "layers.transformer.half_precision",
    "layers.multi_head_attention": "layers.transformer.multi_head_attention",
    "layers.prepared_weights": "layers.kernels.prepared_weights",
    "layers.recurrent_decoder": "layers.recurrent.decoder",
    "layers.recurrent_encoder": "layers.recurrent.encoder",
    "layers.relative_positions": "layers.transformer.relative_positions",
    "layers.scan": "layers.recurrent.scan",
    "layers.transformer_decoder": "layers.transformer.decoder",
    "layers.transformer_encoder": "layers.transformer.encoder",
    "layers.transposed_table": "layers.kernels.transposed_table",
    "plots": "analysis.plots",
    "samplers.beam": "samplers.strategies.beam",
    "samplers.beam_sample": "samplers.strategies.beam_sample",
    "samplers.candidates": "samplers.warper",
    "samplers.diagnosis": "decoding.diagnosis",
    "samplers.diverse_beam": "samplers.strategies.diverse_beam",
    "samplers.draw": "samplers.random_numbers",
    "samplers.driver": "decoding.drivers.driver",
    "samplers.drivers": "decoding.drivers.driver_choice",
    "samplers.eager_driver": "decoding.drivers.eager_driver",
    "samplers.forced": "decoding.forced_scoring",
    "samplers.greedy": "samplers.strategies.greedy",
    "samplers.jax_driver": "decoding.drivers.jax_driver",
    "samplers.loop": "decoding.loop",
    "samplers.random": "samplers.strategies.random",
    "samplers.resolve": "samplers.strategy_choice",
    "samplers.schedule": "decoding.schedule",
    "samplers.segments": "decoding.segments",
    "samplers.shortlist": "samplers.warper",
    "samplers.tensorflow_driver": "decoding.drivers.tensorflow_driver",
    "samplers.top": "samplers.blockwise_top_k",
    "strict_yaml": "catalog.strict_yaml",
    "text.added_tokens": "text.pretrained.added_tokens",
    "text.blenderbot_small": "text.pretrained.blenderbot_small",
    "text.byt5": "text.pretrained.byt5",
    "text.byte": "text.trained.byte",
    "text.byte_level_bpe": "text.trained.byte_level_bpe",
    "text.character": "text.trained.character",
    "text.files": "atomic_writing",
    "text.huggingface": "text.trained.tokenizers_library",
    "text.huggingface_files": "text.huggingface_writer",
    "text.language_codes": "text.pretrained.language_codes",
    "text.m2m_100": "text.pretrained.m2m_100",
    "text.marian": "text.pretrained.marian",
    "text.normalization": "text.trained.normalization",
    "text.pipeline": "text.pretrained.pipelines.pipeline_tokenizer",
    "text.pipelines": "text.pretrained.pipelines.pipeline_builders",
    "text.pieces": "text.streaming",
    "text.plbart": "text.pretrained.plbart",
    "text.pretrained_tokenizer": "text.pretrained.base",
    "text.sentencepiece": "text.trained.sentencepiece",
    "text.sentencepiece_proto": "text.pretrained.sentencepiece_model",
    "text.tables": "text.data_frames",
    "text.token_list": "text.pretrained.token_list",
    "text.tokenizer_files": "text.pretrained.tokenizer_files",
    "text.training": "text.trained.trainer",
    "text.vocabulary": "text.trained.vocabulary",
    "text.word": "text.trained.word",
    "text.word_pattern": "text.trained.word_pattern",
    "text.wordpiece": "text.trained.wordpiece",
    "training.bleu_tokenizer": "text_metrics.bleu_tokenizer",
    "training.evaluation": "text_metrics.corpus_metrics",
    "training.interruption": "recipes.interruption",
    "training.loss": "training.losses.loss",
    "training.metrics": "training.losses.metrics",
    "training.recipe": "recipes.runner",
    "training.rouge": "text_metrics.rouge",
    "training.run_folder": "recipes.records.run_folder",
    "training.schedules": "training.optimizers.schedules",
    "training.summary": "recipes.records.summary",
    "training.target_language": "text_metrics.target_language",
}


#: Packages that were modules, and modules that were larger: the modules that have their names now,
#: in the package, or (with a dot in front) beside the module.
SPLIT = {
    "checkpoints.huggingface": ("reader",),
    "data.dates": ("ambiguity", "languages", "forms", "splits"),
    "export.saved_model": ("artefact",),
    "layers.embeddings": (".output_projection",),
    "layers.kernels": ("operations",),
    "layers.recurrent": ("cells",),
    "layers.transformer": ("stack",),
    "samplers.sampler": (".gather", ".histories", ".processing"),
    "text.pretrained": ("auto",),
    "text.trained": ("base",),
}


def moved_name(package: str, name: str) -> Any:
    """Returns a name that was in a module before it was split, with a warning.

    Args:
        package: full name of the module, or of the package that it has become.
        name: of something that another module has now.

    Raises:
        AttributeError: none of them has it.
    """
    if not name.startswith("_"):
        for module_name in SPLIT[package.removeprefix(f"{PACKAGE}.")]:
            beside = module_name.startswith(".")
            parent = package.rpartition(".")[0] + module_name if beside else None
            module = importlib.import_module(parent or f"{package}.{module_name}")
            if hasattr(module, name):
                warnings.warn(
                    f"{package}.{name} is now in {module.__name__}; the old name works for one "
                    "release more",
                    FutureWarning,
                    stacklevel=3,
                )
                return getattr(module, name)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


class MovedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module by its old name: the same module object as under its new one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != PACKAGE or name not in MOVED:
            return None
        return importlib.machinery.ModuleSpec(fullname, MovedModules())

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        new = f"{PACKAGE}.{MOVED[spec.name.partition('.')[2]]}"
        warnings.warn(
            f"{spec.name} is now {new}; the old name works for one release more",
            FutureWarning,
            stacklevel=2,
        )
        module = importlib.import_module(new)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Does nothing: the module has run already, and keeps its own specification."""
        module.__spec__ = self._own_spec


def redirect_moved_modules() -> None:
    """Lets imports of old names find the modules in their new places."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
