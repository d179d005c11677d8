"""Makes batches for `fit` from text pairs, or from texts with an objective.

Pairs are encoded (once, or anew in every epoch), sorted into length buckets, padded, shifted for
teacher forcing, and shuffled by (seed, epoch).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import keras
import numpy as np

from keras_s2s.config import SpecialIds, SubwordSamplingConfig
from keras_s2s.data.batch_arguments import check_choice, encoded_examples, special_ids_of
from keras_s2s.data.checks.model_limits import ModelLimits, described
from keras_s2s.data.checks.shifted_labels import check_teacher_forcing
from keras_s2s.data.epochs.buckets import BatchUnit
from keras_s2s.data.epochs.plans import EpochPlans
from keras_s2s.data.errors import DataError
from keras_s2s.data.examples.encoding import OverlongPairs
from keras_s2s.data.examples.ragged import padding_mask
from keras_s2s.data.explain import Explanation, explain_batch
from keras_s2s.data.objectives.objective import Objective
from keras_s2s.data.teacher_forcing import teacher_forcing
from keras_s2s.layers.contracts import Frontend
from keras_s2s.layers.frontends import TOKEN_IDS

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor

logger = logging.getLogger(__name__)

Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


class Batches(keras.utils.PyDataset):
    """Padded, bucketed batches with teacher forcing, for `fit` on every backend.

    Item i is `(x, y, w)`, NumPy arrays:

    - `x["encoder_token_ids"]` int32 `[B, S]` (or, where sources are feature vectors,
      `x["encoder_features"]` float32 `[B, S, F]`), `x["encoder_padding_mask"]` bool `[B, S]`,
      `x["decoder_token_ids"]` int32 `[B, T]`, `x["decoder_padding_mask"]` bool `[B, T]`;
      masks are True on real positions;
    - `y` labels int32 `[B, T]`;
    - `w` weights float32 `[B, T]`, 1 on real labels, EOS included, else 0.

    There are at most `num_buckets` distinct shapes `(B, S, T)`, and an epoch has each
    example exactly once. Examples that do not fill a batch are moved into the next longer
    bucket; the last batch is filled up with rows of weight 0 and False masks.
    The number of batches and their shapes are the same in every epoch.

    The order depends on `seed` and `epoch` only, and `epoch` goes up by one when `fit` has
    passed through all batches. Set it to continue an interrupted training. `fit` on its own
    shuffles the batches once more with Python's global PRNG unless told
    `shuffle=False`. Your own loop over a `Batches` does not change `epoch`.

    In every epoch a batch of the longest shape comes first (what does not fit into memory
    fails in the first step) and one of the shortest second (Keras on TensorFlow derives from
    the first two batches which dimensions vary).

    Args:
        pairs: iterable of (source, target) texts; without a preprocessor, of ids. Source ids
            are used as they are. Target ids end in EOS, without padding and without the
            decoder start; anything else is an error rather than a guess. A source may also be an
            array of feature vectors `[S, F]`, with a target text or target ids. With an objective:
            texts, or rows of ids without special ids.
        preprocessor: text to ids.
        special_ids: special ids; required without a preprocessor.
        objective: makes a source and a target from each text: `SpanCorruption`, `TextInfilling`,
            `SentencePermutation`, or a list of them that are applied in turn. What it draws
            depends on the seed, the epoch and the text's number, not on the batch; without
            `shuffle` it is the same in every epoch.
        subword_sampling: segments texts anew in every epoch: `{"alpha": 0.1}` draws from a unigram
            tokenizer [Kudo 2018], `{"dropout": 0.1}` leaves merges of a BPE tokenizer out
            [Provilkov 2020]; `{"source": {...}}` or `{"target": {...}}` for one side. Draws depend
            on the seed and the epoch, also without `shuffle`, and never on batches. For training
            only.
        batch_size: examples a batch, or positions on its longer side, padding included.
        batch_unit: `"sentences"` or `"tokens"`: which of the two.
        num_buckets: at most this many shapes.
        row_multiple: rows of a batch are a multiple of this number, such as that of the devices
            that divide them (`training.data_parallel`).
        shuffle: a new order each epoch; otherwise always the same one.
        seed: of the order, and of what an objective or `subword_sampling` draws.
        max_source_length: longest source in ids, BOS and EOS included.
        max_target_length: longest target in ids, EOS included.
        overlong: `"drop"` longer pairs, `"truncate"` them as transformers does (EOS, BOS and
            languages stay around the text) or raise an `"error"`.
        frontend: of a model whose sources are neither texts nor ids, `model.network.frontend`; it
            checks them. None takes arrays of numbers with a fraction for feature vectors.
        **pydataset_kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of Keras.

    Attributes:
        report: counts of pairs used, dropped and truncated; also logged.
        special_ids: the special ids.
        epoch: number of the current order.

    Raises:
        DataError: a pair cannot be used, or none is left.
        ConfigError: a tokenizer cannot draw as `subword_sampling` says.
        ValueError: an argument is outside its range.

    Example:
        >>> batches = Batches(pairs, model.preprocessor, batch_size=64)
        >>> print(batches.describe())
        >>> model.fit(batches, epochs=10)
    """

    def __init__(
        self,
        pairs: Iterable[Any],
        preprocessor: Preprocessor | None = None,
        *,
        special_ids: SpecialIds | None = None,
        objective: Objective | Sequence[Objective] | None = None,
        subword_sampling: SubwordSamplingConfig | Mapping[str, Any] | None = None,
        batch_size: int = 64,
        batch_unit: BatchUnit = "sentences",
        num_buckets: int = 6,
        row_multiple: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        max_source_length: int | None = None,
        max_target_length: int | None = None,
        overlong: OverlongPairs = "drop",
        frontend: Frontend | None = None,
        **pydataset_kwargs: Any,
    ) -> None:
        super().__init__(**pydataset_kwargs)
        self.special_ids = special_ids_of(preprocessor, special_ids)
        check_choice("batch_unit", batch_unit, get_args(BatchUnit))
        check_choice("overlong", overlong, get_args(OverlongPairs))
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("num_buckets", num_buckets, 1),
            ("row_multiple", row_multiple, 1),
            ("seed", seed, 0),
            ("max_source_length", max_source_length, 1),
            ("max_target_length", max_target_length, 1),
        ):
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; expected {least} or more")
        self.preprocessor = preprocessor
        self.batch_size = batch_size
        self.batch_unit = batch_unit
        self.shuffle = shuffle
        self.seed = seed
        #: Which rows of a batch `fit` reads: of processes that divide them, the n-th of how many.
        self.share = (0, 1)
        self._epoch = 0
        self._within_epoch = False
        self._served: set[int] = set()
        self._first = 0  # batches of an epoch that are left out
        self._is_rest = False  # of one epoch, which no pass moves on from

        self._examples = encoded_examples(
            pairs,
            preprocessor,
            self.special_ids,
            objective=objective,
            subword_sampling=subword_sampling,
            seed=seed,
            frontend=frontend,
            max_source_length=max_source_length,
            max_target_length=max_target_length,
            overlong=overlong,
        )
        self.report = self._examples.report
        lost = self.report.kept < self.report.read or self.report.truncated
        logger.log(logging.WARNING if lost else logging.INFO, "Batches: %s", self.report)

        self._plans = EpochPlans(
            self._examples,
            num_buckets=num_buckets,
            batch_size=batch_size,
            batch_unit=batch_unit,
            row_multiple=row_multiple,
            shuffle=shuffle,
            seed=seed,
        )
        self._buckets = self._plans.buckets
        longest = max(self._buckets[-1].shape[1:])
        if batch_unit == "tokens" and longest > batch_size:
            logger.warning(
                "Batches: the longest example has %d positions, more than batch_size=%d tokens; "
                "set max_source_length and max_target_length",
                longest,
                batch_size,
            )

    # ----------------------------------------------------------------------------------
    # Methods that Keras calls
    # ----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return sum(self._plans.shapes.values()) - self._first

    def __getitem__(self, index: int) -> Batch:
        batch = self._batch(index)
        first, step = self.share
        if step > 1:
            batch = keras.tree.map_structure(lambda array: array[first::step], batch)
        self._served.add(range(len(self))[index])
        return batch

    def on_epoch_begin(self) -> None:
        """Notes that a pass begins; called by Keras before it passes through the batches."""
        self._within_epoch = True
        if len(self._served) == len(self):
            self._served.clear()

    def on_epoch_end(self) -> None:
        """Moves on to the next order; called by Keras after an epoch.

        Keras also calls it after a look at one batch to build the model, and with
        `steps_per_epoch` in the middle of a pass: the order must not change then, or an epoch
        would have some examples twice and others never. With workers of its own Keras reads
        ahead, so that the batches read so far do not tell.
        """
        if not self._within_epoch or self._is_rest:
            return
        self._within_epoch = False
        if self.workers > 1 or self.use_multiprocessing or len(self._served) == len(self):
            self.epoch += 1

    def check_limits(self, limits: ModelLimits, where: str = "Batches") -> None:
        """Raises an error for pairs that a model cannot take, before it is trained.

        Args:
            limits: of the model.
            where: begins the message.

        Raises:
            DataError: ids outside the model's vocabulary, or rows longer than its positions.

        Example:
            >>> from keras_s2s.data.checks.model_limits import ModelLimits
            >>> batches.check_limits(ModelLimits.of(model.preset.architecture))
        """
        kind = self._examples.source_input
        wanted = limits.source_input
        if (kind.name, tuple(kind.shape)) != (wanted.name, tuple(wanted.shape)):
            raise DataError(
                f"{where}: sources are {described(kind)}, but the model reads "
                f"{described(limits.source_input)}"
            )
        vocabularies = (limits.source_vocabulary, limits.target_vocabulary)
        for side, largest, vocabulary in zip(
            ("source", "target"), self._examples.largest_ids, vocabularies, strict=True
        ):
            if vocabulary is not None and largest >= vocabulary:
                raise DataError(
                    f"{where}: a {side} holds the id {largest}, but the {side} vocabulary has ids "
                    f"0 to {vocabulary - 1}; make the batches with model.preprocessor, or with "
                    "ids of the model"
                )
        for side, lengths, limit in (
            ("source", self._examples.source_lengths, limits.source_positions),
            ("target", self._examples.target_lengths, limits.target_positions),
        ):
            remedy = (
                f"Pass max_{side}_length={limit}, and overlong='drop' or 'truncate', to Batches "
                f"(data.max_{side}_length and data.overlong in a recipe)"
            )
            limits.check_lengths(side, lengths, where, remedy)

    # ----------------------------------------------------------------------------------
    # The order of an epoch
    # ----------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Number of the current order."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if epoch < 0:
            raise ValueError(f"epoch is {epoch}; expected 0 or more")
        self._epoch = epoch
        self._served.clear()

    def rest_of_epoch(self, step: int) -> Batches:
        """Returns the batches of the current epoch from `step` on, to finish an epoch with.

        Args:
            step: batches of the epoch that are done, counted from 0.

        Returns:
            batches of the same examples, `len(self) - step` of them. A pass through them leaves
            `epoch` of `self` as it is.

        Raises:
            ValueError: no batch is left.

        Example:
            >>> batches.epoch = 3
            >>> model.fit(batches.rest_of_epoch(1), initial_epoch=3, epochs=4)
            >>> batches.epoch = 4
            >>> model.fit(batches, initial_epoch=4, epochs=10)
        """
        if not 0 <= step < len(self):
            raise ValueError(f"step is {step}; expected 0 to {len(self) - 1}, a batch of the epoch")
        rest = copy.copy(self)
        rest._first = self._first + step
        rest._served = set()
        rest._is_rest = True
        return rest

    # ----------------------------------------------------------------------------------
    # A batch
    # ----------------------------------------------------------------------------------

    def _batch(self, index: int, epoch: int | None = None) -> Batch:
        epoch = self.epoch if epoch is None else epoch
        _, encoded, plan = self._plans.epoch(epoch)
        count = len(plan) - self._first
        if not -count <= index < count:
            raise IndexError(f"batch {index} of {count}")
        number, examples = plan[self._first + index if index >= 0 else index]
        bucket = self._buckets[number]
        special = self.special_ids
        pairs = [encoded.pair(i, epoch if self.shuffle else 0) for i in examples]
        filler = [np.empty(0, dtype="int32")] * (bucket.rows - len(examples))
        sources = [source for source, _ in pairs] + filler
        targets = [target for _, target in pairs] + filler

        kind = self._examples.source_input
        shape = (bucket.rows, bucket.source_length, *kind.shape)
        values = np.full(shape, 0, kind.dtype)
        if kind.name == TOKEN_IDS.name:
            values[:] = special.source.pad
        for row, source in enumerate(sources):
            if len(source):
                values[row, : len(source)] = source
        decoder_ids, labels, weights = teacher_forcing(
            targets, special.target.decoder_start, special.target.pad, bucket.target_length
        )
        check_teacher_forcing(decoder_ids, labels, weights, special)
        inputs = {
            kind.name: values,
            "encoder_padding_mask": padding_mask(sources, bucket.source_length),
            "decoder_token_ids": decoder_ids,
            "decoder_padding_mask": padding_mask(targets, bucket.target_length),
        }
        return inputs, labels, weights

    # ----------------------------------------------------------------------------------
    # For people
    # ----------------------------------------------------------------------------------

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """The distinct `(rows, S, T)` of the batches, from short to long."""
        return [bucket.shape for bucket in self._buckets if self._plans.shapes[bucket]]

    @property
    def padding_share(self) -> float:
        """Share of all source and target positions that is padding.

        Where an objective draws sources of several lengths, the longest one counts; with
        `subword_sampling`, the first epoch.
        """
        positions = sum(bucket.positions * count for bucket, count in self._plans.shapes.items())
        return 1.0 - self._plans.positions / positions

    def __repr__(self) -> str:
        """Returns a line with the number of pairs, batches and shapes of an epoch."""
        return (
            f"Batches({self.report.what}={self.report.kept}, batches={len(self)}, "
            f"batch_size={self.batch_size} {self.batch_unit}, shapes={len(self.shapes)}, "
            f"padding={self.padding_share:.0%}, epoch={self.epoch})"
        )

    def describe(self) -> str:
        """Returns a short text about pairs, shapes and padding.

        Example:
            >>> print(batches.describe())
            100 pairs given, 100 used
            2 batches an epoch in 2 shapes; 39.2 % of positions are padding
                64 rows, source  12, target   8:     1 batches
                64 rows, source  18, target  14:     1 batches
        """
        lines = [
            str(self.report),
            f"{len(self)} batches an epoch in {len(self.shapes)} shapes; "
            f"{self.padding_share:.1%} of positions are padding".replace("%", " %"),
        ]
        for bucket in self._buckets:
            if count := self._plans.shapes[bucket]:
                lines.append(
                    f"  {bucket.rows:>5} rows, source {bucket.source_length:>3}, "
                    f"target {bucket.target_length:>3}: {count:>5} batches"
                )
        return "\n".join(lines)

    def explain_batch(self, index: int = 0, rows: int = 2) -> Explanation:
        """Prints and returns how a batch trains the decoder; see `data.explain_batch`."""
        return explain_batch(self._batch(index), self.preprocessor, rows=rows)

    # ----------------------------------------------------------------------------------
    # tf.data
    # ----------------------------------------------------------------------------------

    def tf_signature(self) -> Any:
        """Returns a `tf.TensorSpec` for each array of a batch; rows and length are unknown."""
        import tensorflow as tf

        return tf.nest.map_structure(
            lambda array: tf.TensorSpec([None, None, *array.shape[2:]], array.dtype),
            self._batch(0),
        )

    def as_tf_dataset(self) -> Any:
        """Returns the same batches as a `tf.data.Dataset`.

        A pass through it is an epoch: the first one has the order of `epoch` now, and each
        pass that comes to its end moves on to the next order, by a count of its own.

        Returns:
            Dataset of `(x, y, w)` with shapes `[None, None]`, of known cardinality.

        Example:
            >>> model.fit(batches.as_tf_dataset().prefetch(2), epochs=10)
        """
        import tensorflow as tf

        next_epoch = self.epoch

        def one_pass() -> Iterator[Batch]:
            nonlocal next_epoch
            epoch = next_epoch
            for index in range(len(self)):
                yield self._batch(index, epoch)
            next_epoch = epoch + 1

        dataset = tf.data.Dataset.from_generator(one_pass, output_signature=self.tf_signature())
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self)))
