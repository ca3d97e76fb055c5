"""No module of the package imports itself by way of others. Imports inside functions and under TYPE_CHECKING count too:
a circle that only a type checker sees still ties its modules together."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
from pathlib import Path

import kumo_sandbox
import pytest

PACKAGE = Path(kumo_sandbox.__file__).parent


def imports_of(package: Path) -> dict[str, set[str]]:
    """Each module of a package, by its full name, and the modules of the same package it imports anywhere in its text.

    That importing `a.b` also runs `a/__init__.py` does not count: Python resolves that by itself.
    """
    files = {_name(package, file): file for file in package.rglob("*.py")}
    return {name: _imported(name, file, files.keys()) for name, file in files.items()}


def _name(package: Path, file: Path) -> str:
    parts = (package.name, *file.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(name: str, file: Path, known: set[str]) -> set[str]:
    parent = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), parent)
            for alias in node.names:
                submodule = f"{module}.{alias.name}"
                found.add(submodule if submodule in known else module)
    return found & known


def test_the_sandbox_has_no_import_circle() -> None:
    imports = imports_of(PACKAGE)
    assert "kumo_sandbox.kumo.http" in imports["kumo_sandbox.kumo.app"]  # the reader sees real imports
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    "text",
    [
        "from shop import shelf",
        "from shop.shelf import Shelf",
        "import shop.shelf",
        "from .shelf import Shelf",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.shelf import Shelf",
        "def late():\n    from shop.shelf import Shelf",
    ],
)
def test_a_circle_is_found_however_the_import_is_written(tmp_path: Path, text: str) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "till.py").write_text(text)
    (package / "shelf.py").write_text("from shop.till import Till")
    with pytest.raises(graphlib.CycleError, match=r"shop\.till.*shop\.shelf|shop\.shelf.*shop\.till"):
        graphlib.TopologicalSorter(imports_of(package)).prepare()
