"""Boards, links and their geometry: imports `spinnaker.geometry`, even if another module is named `spinnaker`.

A program may have a module `spinnaker` of its own in the folder where Python looks first. This package must not run
it: it uses a module of that name only if it is the package that was installed with this one.
"""

# ruff: noqa: PLC0414  # under the same names, so that type checkers take them for exported

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder

import spalloc_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from spinnaker.geometry import Board as Board
    from spinnaker.geometry import BoardLink as BoardLink
    from spinnaker.geometry import Hexagon as Hexagon
    from spinnaker.geometry import Link as Link
    from spinnaker.geometry import Size as Size
    from spinnaker.geometry import boards_of as boards_of
    from spinnaker.geometry import far_end as far_end
    from spinnaker.geometry import hexagon as hexagon
    from spinnaker.geometry import neighbour as neighbour

_PACKAGE = "spinnaker"
_MODULE = f"{_PACKAGE}.geometry"


def _ours() -> ModuleType:
    beside = [os.path.dirname(os.path.abspath(folder)) for folder in spalloc_client.__path__]  # noqa: PTH100, PTH120
    package = PathFinder.find_spec(_PACKAGE, beside)
    if package is None or package.origin is None or _origin_of_import() == os.path.realpath(package.origin):
        return import_module(_MODULE)
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec(f"spalloc_client.{_MODULE}", package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return import_module(_MODULE)
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _origin_of_import() -> str | None:
    """The file that `import spinnaker` means, found without running it."""
    if _PACKAGE in sys.modules:
        origin = getattr(sys.modules[_PACKAGE], "__file__", None)
    else:
        specs = (finder.find_spec(_PACKAGE, None) for finder in sys.meta_path)
        origin = next((spec.origin for spec in specs if spec is not None), None)
    return None if origin is None else os.path.realpath(origin)


if not TYPE_CHECKING:
    globals().update({name: value for name, value in vars(_ours()).items() if not name.startswith("_")})
