"""The documentation site: `make docs`, or `python -m sphinx -W docs build/docs`.

Pages are Markdown, read by MyST. Those that are made of other files (the README, notebooks, the
zoo, the changelog) are written into `docs/generated/` when a build begins; see made_pages.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
# The documented package is the one beside these pages.
sys.path[:0] = [str(ROOT), str(DOCS)]

import made_pages  # noqa: E402

from keras_s2s import __version__  # noqa: E402

project = "keras_s2s"
copyright = "the keras_s2s authors, Apache 2.0"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["**.ipynb_checkpoints"]

# Markdown
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Notebooks are run by the tests; here they are shown as they are.
nb_execution_mode = "off"
highlight_language = "text"

# API reference. Docstrings are in Google's style; `x` in them is code.
default_role = "code"
# Methods that Keras documents are not documented once more.
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_maximum_signature_line_length = 88

# HTML
html_theme = "pydata_sphinx_theme"
html_title = "keras_s2s"
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "keras_s2s"},
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "navbar_align": "left",
}

made_pages.write(DOCS / "generated")
