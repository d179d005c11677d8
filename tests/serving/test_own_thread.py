"""Models are loaded, and streams computed, in threads that end."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from cli.small_folder import save_small_model

from keras_s2s.cli import main
from keras_s2s.serving import server
from keras_s2s.serving.models import loading
from keras_s2s.serving.own_thread import in_own_thread


def test_results_and_errors_come_back() -> None:
    seen: list[threading.Thread] = []

    def remember() -> int:
        seen.append(threading.current_thread())
        return 7

    assert in_own_thread(remember, "mine") == 7
    seen[0].join(10)
    assert seen[0] is not threading.main_thread() and not seen[0].is_alive()
    with pytest.raises(ZeroDivisionError):
        in_own_thread(lambda: 1 // 0, "mine")


def test_the_server_loads_its_models_in_such_a_thread(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[threading.Thread] = []
    served: list[Any] = []

    def load(*_: Any, **__: Any) -> str:
        loaded.append(threading.current_thread())
        return "model"

    monkeypatch.setattr(loading, "load_served", load)
    monkeypatch.setattr(server, "serve", lambda models, *_: served.extend(models))
    folder = save_small_model(tmp_path / "small")
    assert main(["serve", folder, "--port", "0"]) == 0
    assert served == ["model"]
    loaded[0].join(10)
    assert loaded[0] is not threading.main_thread() and not loaded[0].is_alive()
