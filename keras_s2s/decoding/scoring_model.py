"""A model with a generator, which gives scores to given targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_s2s.config import PresetConfig
from keras_s2s.decoding.generator import Generator
from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.decoding.requests.read_targets import pair_rows
from keras_s2s.fair_lock import FairLock
from keras_s2s.network import Network
from keras_s2s.options.compute_types import ComputeType
from keras_s2s.samplers.checks import whole
from keras_s2s.text.languages import Language
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.shortlists import Shortlist
from keras_s2s.text.truncation import Overlong


class ScoringModel(keras.Model):
    """Base class of the model: its generator, how that multiplies, and `score`.

    A subclass builds the graph and sets the attributes.
    """

    preset: PresetConfig
    network: Network
    shortlist: Shortlist | None
    _preprocessor: Preprocessor | None
    _turns: FairLock
    _generator: Generator | None

    @property
    def generator(self) -> Generator:
        """The generator of this model, with the programs that it has compiled."""
        with self._turns:
            ids = self.preset.special_ids  # of the preprocessor given last
            if self._generator is None:
                self._generator = Generator(self.network, self, ids, self._turns)
            self._generator.special_ids = ids
            return self._generator

    @property
    def compute_type(self) -> ComputeType | None:
        """How `generate`, `stream` and `score` compute matrix products: "int8", "bfloat16", or None
        for the type of the weights.

        For PyTorch on the CPU. Rounded and packed copies of the weights are made when they are
        first used, and again when the weights have changed. Weights and training stay as they are,
        and nothing of it is saved.

        Raises:
            ValueError: set to what this backend or processor does not have, or for a model that is
                not in float32, is quantised by Keras, or is on a GPU.

        Example:
            >>> model.compute_type = "int8"
            >>> model.generate("ein Hund")
            'a dog'
            >>> model.compute_type = None
        """
        return self.generator.compute_type  # type: ignore[return-value]

    @compute_type.setter
    def compute_type(self, compute_type: ComputeType | None) -> None:
        self.generator.compute_type = compute_type

    @property
    def cuda_graphs(self) -> bool:
        """Whether `generate` and `stream` run their steps as CUDA graphs, on PyTorch on an NVIDIA
        GPU.

        Step by step the GPU waits for Python most of the time, unless batches are large. A graph
        is recorded once for each size of a batch, and then launched by one call. Sizes are
        rounded up to few values, as on JAX. Steps that Python takes part in stay as they are: with
        a grammar, `prefix_allowed_tokens_fn` or `prompt_lookup_num_tokens`.

        Raises:
            ValueError: set to True on another backend, or for a model that is not on such a GPU.

        Example:
            >>> model.cuda_graphs = True  # doctest: +SKIP
        """
        return self.generator.cuda_graphs

    @cuda_graphs.setter
    def cuda_graphs(self, cuda_graphs: bool) -> None:
        self.generator.cuda_graphs = cuda_graphs

    @property
    def _parts(self) -> ModelParts:
        """What calls of `generate`, `score` and `export` read of the model."""
        return ModelParts(self.preset, self.network, self._preprocessor, self.shortlist)

    def score(
        self,
        sources: str | Sequence[Any],
        targets: str | Sequence[Any],
        *,
        src_lang: Language = None,
        tgt_lang: Language = None,
        return_token_log_probs: bool = False,
        return_attention: bool = False,
        batch_size: int = 32,
        overlong: Overlong = "error",
    ) -> Any:
        """Returns the log-probability of given targets, given their sources.

        Args:
            sources, targets: texts, or lists of ids; target ids as labels (no decoder start). Where
                sources are feature vectors: arrays `[S, F]`, with targets of either kind.
            src_lang, tgt_lang: languages of texts, as in `generate`. Ids have theirs in them, but
                for a language that the decoder starts with: that `tgt_lang` names, too.
            return_token_log_probs: also return the log-probability of each id.
            return_attention: also return the attention of each target id to the source ids, while
                the decoder reads the target: that of its top layer, the mean of its heads.
            batch_size: pairs scored at a time; results do not depend on it.
            overlong: as in `generate`, of sources and targets.

        Returns:
            float32 `[B]` (a float for a single text), the sum over each target's ids, EOS
            included. Where more is asked for, a tuple: these sums; with `return_token_log_probs`
            a list of B float32 arrays `[T]`; with `return_attention` a list of B float32 arrays
            `[T, S]`, whose rows sum to 1. T and S are each pair's own lengths in ids.

        Raises:
            ValueError: ids outside a vocabulary, rows that are empty or too long, numbers of
                rows that differ, or `return_attention` for a decoder without attention.
            TypeError: texts on one side and ids on the other.

        Example:
            >>> model.score("ein Hund", "a dog")
            -0.0...
            >>> log_prob, attention = model.score("ein Hund", "a dog", return_attention=True)
        """
        batch_size = whole("batch_size", batch_size)
        pairs = pair_rows(
            self._parts, sources, targets, src_lang=src_lang, tgt_lang=tgt_lang, overlong=overlong
        )
        log_probs, attention = self.generator.score(
            pairs.sources,
            pairs.targets,
            starts=pairs.starts,
            batch_size=batch_size,
            want_attention=return_attention,
        )
        sums = np.asarray([part.sum() for part in log_probs], np.float32)
        result: list[Any] = [float(sums[0]) if isinstance(sources, str) else sums]
        if return_token_log_probs:
            result.append(log_probs)
        if return_attention:
            result.append(attention)
        return tuple(result) if len(result) > 1 else result[0]
