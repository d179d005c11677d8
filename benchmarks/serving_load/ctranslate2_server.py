"""CTranslate2 behind the package's server: the same routes, the same queue, another engine.

python -m serving_load.ctranslate2_server FOLDER OPTIONS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from generation.build import token, word

from keras_s2s.cli.messages import show_messages
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.served_model import (
    DEFAULT_SIGNATURE,
    Prepared,
    Row,
    ServedModel,
    Signature,
    TensorInfo,
)
from keras_s2s.serving.server import open_socket, serve
from serving_load.clients import MODEL


class CTranslate2Model(ServedModel):
    """A CTranslate2 folder that `generation.build` wrote, in float32 on the CPU.

    Args:
        folder: of the model.
        threads: cores that it uses.
        steps: most ids of a result.
        forced: every result has `steps` ids.
    """

    name = MODEL

    def __init__(self, folder: str, threads: int, steps: int, forced: bool) -> None:
        import ctranslate2

        self.steps, self.least = steps, steps if forced else 0
        self.translator = ctranslate2.Translator(
            folder, device="cpu", compute_type="float32", inter_threads=1, intra_threads=threads
        )

    @property
    def signatures(self) -> Mapping[str, Signature]:
        outputs = {
            "token_ids": TensorInfo("int32", (None, None)),
            "lengths": TensorInfo("int32", (None,)),
            "scores": TensorInfo("float32", (None,)),
        }
        inputs = {"encoder_token_ids": TensorInfo("int32", (None, None))}
        return {DEFAULT_SIGNATURE: Signature(inputs, outputs)}

    def prepare(
        self, signature: str, rows: Sequence[Row], parameters: Mapping[str, Any]
    ) -> Prepared:
        return Prepared(None, [[word(i) for i in row["encoder_token_ids"]] for row in rows])

    def run(self, key: Any, rows: Sequence[list[str]]) -> list[Row]:
        found = self.translator.translate_batch(
            rows,
            max_batch_size=len(rows),
            beam_size=1,
            max_decoding_length=self.steps,
            min_decoding_length=self.least,
            return_end_token=True,
            return_scores=True,
        )
        ids = [np.array([token(name) for name in each.hypotheses[0]], np.int32) for each in found]
        return [
            {"token_ids": row, "lengths": np.int32(len(row)), "scores": np.float32(each.scores[0])}
            for row, each in zip(ids, found, strict=True)
        ]


def main(folder: str, options: str) -> None:
    """Serve the model in `folder`.

    Args:
        folder: of a CTranslate2 model.
        options: JSON with threads, steps, forced, max_batch_size, and wait in seconds.
    """
    given = json.loads(options)
    limits = Limits(max_batch_size=given.pop("max_batch_size"), max_wait=given.pop("wait"))
    show_messages()
    with open_socket("127.0.0.1", 0) as listener:
        serve([CTranslate2Model(folder, **given)], limits, listener)


if __name__ == "__main__":
    main(*sys.argv[1:])
