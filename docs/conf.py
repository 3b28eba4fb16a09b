# How the documentation is built; what it says is in the pages beside this file and in the docstrings.
"""Settings of Sphinx."""

from importlib.metadata import version as _installed_version

project = "spalloc"
author = "the spalloc developers"
copyright = "2026, the spalloc developers"
version = release = _installed_version("spalloc")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"spalloc {release}"
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# References to the project's own names must lead somewhere; those of other projects are theirs to document, and looking
# them up would need a network.
nitpick_ignore_regex = [(r"py:.*", r"(?!spalloc|spinnaker).*")]
