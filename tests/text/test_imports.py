"""The text side needs neither keras nor, before they are used, its own libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import keras_s2s.text

FOLDER = Path(keras_s2s.text.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
LAZY = {"sentencepiece", "tokenizers", "tensorflow", "torch", "transformers"}


def test_modules_import_text_and_config_only():
    assert len(FILES) >= 15
    checked = 0
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                checked += 1
                assert name.partition(".")[0] != "keras", path
                if name.startswith("keras_s2s"):
                    assert name.startswith(
                        (
                            "keras_s2s.text",
                            "keras_s2s.config",
                            "keras_s2s.atomic_writing",
                            "keras_s2s.moved_modules",
                        )
                    ), (path, name)
    assert checked > 50


def test_import_loads_no_heavy_library():
    # The parent package is replaced, because it may import keras itself.
    program = f"""
import sys, types
package = types.ModuleType("keras_s2s")
package.__path__ = [{str(FOLDER.parent)!r}]
sys.modules["keras_s2s"] = package
import keras_s2s.text
print(sorted(set(sys.modules) & {LAZY | {"keras"}!r}))
from keras_s2s.text import Preprocessor, TOKENIZERS
for kind in TOKENIZERS:
    Preprocessor.train([("a b", "c d")], kind)
print("keras" in sys.modules)
"""
    run = [sys.executable, "-c", program]
    output = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    assert output.split("\n")[:2] == ["[]", "False"]
