"""How the documentation is built; what it says is in the pages beside this file and in the docstrings."""

import sys
from importlib.metadata import version as _installed_version
from pathlib import Path

project = "spalloc"
author = "the spalloc developers"
copyright = "2026, the spalloc developers"
version = release = _installed_version("spalloc")

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "drawing_of_a_machine", "lives"]
exclude_patterns = ["_build", "_tools"]

html_theme = "furo"
html_title = f"spalloc {release}"
html_show_sphinx = False
html_copy_source = False

smartquotes = False  # commands and options stand in sentences, too

default_role = "code"  # docstrings put names between single backticks
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False
python_maximum_signature_line_length = 90
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# References to the project's own public names must resolve. Those of other projects are not checked, since that would
# need a network; type variables (T, Ts) are not documented.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!spalloc|spinnaker).*"),
    (r"py:.*", r".*\._\w+"),
    (r"py:.*", r".*\.Ts?(_co)?"),
]


def _without_pythons_own_words(app, what, name, object_, options, lines):
    """Leave out what Python itself writes about a NamedTuple's fields."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _without_pythons_own_words)
