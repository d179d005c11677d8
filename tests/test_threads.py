"""Threads that generate, score and stream with one model, while another trains it or not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from small_models import COMPILES, shrink, source_mapping

from keras_s2s.catalog import load_preset
from keras_s2s.data import Batches
from keras_s2s.fair_lock import FairLock
from keras_s2s.model import Seq2SeqLM
from keras_s2s.samplers import Greedy, Plan
from keras_s2s.samplers.processors import MinLength
from keras_s2s.text import Preprocessor

PAIRS = [("hello", "hallo"), ("good day", "guten tag"), ("a dog", "ein hund"), ("yes", "ja")]
WORKERS = 4
ROUNDS = 4 if COMPILES else 8


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    text = Preprocessor.train(PAIRS, "character", joint=True)
    return Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        preprocessor=text,
        architecture={
            side: {"hidden_dim": 8, "num_heads": 2, "intermediate_dim": 12, "num_layers": 1}
            for side in ("encoder", "decoder")
        },
    )


def in_threads(works: list[Callable[[], None]], seconds: float = 280) -> None:
    """Run all at once; the first error of any is raised."""
    errors: list[BaseException] = []
    begin = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            begin.wait()
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), "a thread waits for ever"
    if errors:
        raise errors[0]


def calls(model: Seq2SeqLM) -> dict[str, Callable[[], Any]]:
    sources = [source for source, _ in PAIRS]
    # One strategy and rule for two calls, so that a compiled backend has one program less.
    drawn = {"max_length": 9, "min_length": 6}
    return {
        "random": lambda: model.generate(sources, "random", seed=5, **drawn),
        "beam": lambda: model.generate(sources[:2], max_length=9, num_beams=3),
        "score": lambda: model.score(sources, [target for _, target in PAIRS]).tolist(),
        "stream": lambda: "".join(model.stream("good day", "random", seed=3, **drawn)),
    }


def test_each_thread_is_given_what_it_is_given_alone(model):
    expected = {name: call() for name, call in calls(model).items()}

    def work(first: int) -> Callable[[], None]:
        def run() -> None:
            names = list(expected)
            for i in range(ROUNDS):
                name = names[(first + i) % len(names)]
                found = calls(model)[name]()
                if name == "score":
                    np.testing.assert_allclose(found, expected[name], rtol=1e-5)
                else:
                    assert found == expected[name]

        return run

    model._generator = None  # the first calls prepare and compile, too
    in_threads([work(first) for first in range(WORKERS)])


def test_threads_while_another_one_trains(model):
    batches = Batches(PAIRS, model.preprocessor, batch_size=2)
    done = threading.Event()
    finished_calls: list[str] = []

    def train() -> None:
        try:
            model.fit(batches, validation_data=batches, epochs=4 if COMPILES else 6, verbose=0)
        finally:
            done.set()

    def work(name: str) -> Callable[[], None]:
        def run() -> None:
            call = calls(model)[name]
            while not done.is_set() or name not in finished_calls:
                result = call()
                if name == "score":
                    assert np.isfinite(result).all()
                finished_calls.append(name)

        return run

    before = model.score(*PAIRS[0])
    in_threads([train, *[work(name) for name in calls(model)]])
    assert set(finished_calls) == set(calls(model))
    assert model.score(*PAIRS[0]) != before, "it was trained meanwhile"
    # Nothing of before is left: what was prepared is what a new model computes.
    fresh = Seq2SeqLM(model.preset, model.preprocessor)
    fresh.set_weights(model.get_weights())
    assert calls(fresh)["random"]() == calls(model)["random"]()


def test_a_stream_that_nobody_reads_holds_up_nobody(model):
    plan = Plan(2, 3, 0, 12, (MinLength(10),))
    stream = model.generator.stream([[5, 3]], Greedy(), plan)
    next(stream)
    in_threads([lambda: calls(model)["score"]()])
    list(stream)


def test_streams_of_one_thread_side_by_side(model):
    expected = calls(model)["stream"]()
    streams = [
        model.stream("good day", "random", max_length=9, seed=3, min_length=6) for _ in range(2)
    ]
    pieces: list[str] = ["", ""]
    alive = [0, 1]
    while alive:
        for i in list(alive):
            piece = next(streams[i], None)
            if piece is None:
                alive.remove(i)
            else:
                pieces[i] += piece
    assert pieces == [expected, expected]


# ---------------------------------------------------------------------- the lock


def test_turns_are_taken_in_order():
    turns, order = FairLock(), []
    ready = [threading.Event() for _ in range(5)]

    def work(i: int) -> None:
        ready[i].set()
        with turns, turns:
            order.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(5)]
    with turns:
        for i, thread in enumerate(threads):
            thread.start()
            ready[i].wait()
            while len(turns._waiting) <= i:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def test_a_thread_that_asks_again_at_once_waits_for_the_others():
    turns, order = FairLock(), []

    def work(i: int) -> None:
        while len(order) < 100:
            with turns:
                time.sleep(0.002)
                order.append(i)

    in_threads([lambda: work(0), lambda: work(1)])
    # A busy machine may keep a thread from asking in time; Python's own locks: 30 to 90.
    twice = sum(one == other for one, other in pairwise(order))
    assert twice < 15


def test_an_error_gives_the_turn_back():
    turns = FairLock()
    with pytest.raises(RuntimeError), turns:
        raise RuntimeError
    in_threads([turns.__enter__])


def test_source_mapping_of_a_model_without_text_in_threads():
    model = Seq2SeqLM(shrink(load_preset("gru_bahdanau")))
    x = source_mapping([[5, 6, 3], [7, 3]])
    expected = model.generate(x, max_length=7).tolist()

    def work() -> None:
        for _ in range(3):
            assert model.generate(x, max_length=7).tolist() == expected

    in_threads([work] * WORKERS)
