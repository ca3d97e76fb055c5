"""Which room may import which: docs/architecture.md says it, and every import of every module is held to it."""

from __future__ import annotations

import ast
import gc
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest


# What other tests left is not collected while a module is parsed here: Dagster's ephemeral instances log a traceback when
# they are, to format it parses Python too, and Python 3.11.7 fails when one parse begins inside another (gh-106905).
@pytest.fixture(autouse=True, scope="module")
def _nothing_collected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"


def rooms_of_the_page() -> dict[str, set[str]]:
    """Room -> rooms it may import, from the first table under "Rooms and arrows"."""
    section = PAGE.read_text().split("## Rooms and arrows")[1].split("Beside them:")[0]
    allowed: dict[str, set[str]] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            for room in re.findall(r"`(\w+)`", cells[0]):
                allowed[room] = set(re.findall(r"`(\w+)`", cells[2])) - {"kumo_serving"}
    return allowed


def modules_of(package: str, root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file, of every module of a package."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path) -> Iterator[str]:
    """Every dotted name a module imports: at its top, in a function, or for type checking only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def room_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def graph_of(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Module -> modules of the same package that it imports."""
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        ours = (found if found in modules else found.rpartition(".")[0] for found in imports_of(path))
        graph[name] = {found for found in ours if found in modules and found != name}
    return graph


def test_every_room_imports_only_what_the_page_allows() -> None:
    allowed = rooms_of_the_page()
    wrong = [
        f"{name} imports {other}"
        for name, others in graph_of(modules_of("kumo_assets")).items()
        for other in others
        if room_of(name) and room_of(other) != room_of(name) and room_of(other) not in allowed[room_of(name)]
    ]
    assert not wrong


def test_the_page_names_every_room_and_no_other() -> None:
    rooms = {room_of(name) for name in modules_of("kumo_assets")} - {""}
    assert set(rooms_of_the_page()) == rooms | {"defs"}


def test_the_arrows_of_the_page_point_one_way() -> None:
    try:
        TopologicalSorter(rooms_of_the_page()).prepare()
    except CycleError as error:
        pytest.fail(f"rooms in a circle: {error.args[1]}")


@pytest.mark.parametrize(
    "package",
    [
        "kumo_assets",
        "packages/kumo_serving/kumo_serving",
        "packages/kumo_sandbox/kumo_sandbox",
        "packages/kumo_airflow/kumo_airflow",
    ],
)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    folder = ROOT / package
    try:
        TopologicalSorter(graph_of(modules_of(folder.name, folder.parent))).prepare()
    except CycleError as error:
        pytest.fail(f"modules in a circle: {error.args[1]}")


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("kumo_assets", {"kumo_sandbox", "kumo_airflow", "kumo_assets_tests", "benchmarks"}),
        ("packages/kumo_serving/kumo_serving", {"kumo_assets", "kumo_sandbox", "kumo_airflow", "dagster", "pandas"}),
        ("packages/kumo_airflow/kumo_airflow", {"kumo_assets", "kumo_sandbox", "kumo_serving", "dagster", "pandas"}),
        ("packages/kumo_sandbox/kumo_sandbox", {"kumo_assets_tests", "benchmarks"}),
        ("kumo_assets_tests", {"benchmarks"}),
        ("benchmarks", {"kumo_assets_tests"}),
    ],
)
def test_a_package_imports_nothing_it_must_not_know(package: str, forbidden: set[str]) -> None:
    folder = ROOT / package
    modules = modules_of(folder.name, folder.parent)
    wrong = {
        f"{name} imports {found}"
        for name, path in modules.items()
        for found in imports_of(path)
        if found.partition(".")[0] in forbidden
    }
    assert not wrong


def test_emulators_know_the_product_by_its_protocols_only() -> None:
    folder = ROOT / "packages" / "kumo_sandbox" / "kumo_sandbox"
    wrong = {
        name
        for name, path in modules_of(folder.name, folder.parent).items()
        if name != "kumo_sandbox.testing.releases"
        for found in imports_of(path)
        if found.partition(".")[0] == "kumo_assets"
    }
    assert not wrong


def test_operational_rooms_never_name_dagster() -> None:
    """What rolls back at 3 a.m. must load without Dagster and the Snowflake connector."""
    quiet = {"errors", "redaction", "config", "documents", "pointers", "models", "sources", "releases", "outcomes"}
    wrong = {
        f"{name} imports {found}"
        for name, path in modules_of("kumo_assets").items()
        if room_of(name) in quiet and name != "kumo_assets.releases.resource"
        for found in imports_of(path)
        if found.partition(".")[0] in ("dagster", "dagster_snowflake", "dagster_aws", "snowflake", "pandas")
    }
    assert not wrong
