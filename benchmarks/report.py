"""Results for a person: rich tables on the terminal, and the Markdown of docs/benchmarks.md. No measuring here."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table as Grid

from benchmarks.figures import Figure, Result

HEAD = """# Benchmarks

Ratios against named peers, measured in one run on one machine; written by `make bench` (`python -m benchmarks docs` writes
this page again from the kept results). A figure without a target is there to understand the others.
"""


def show(result: Result, console: Console) -> None:
    """Print one result."""
    console.rule(f"[bold]{result.title}")
    if result.figures:
        grid = Grid("figure", "measured", "target", box=None, pad_edge=False, header_style="bold")
        for figure in result.figures:
            style = {True: "green", False: "bold red", None: ""}[figure.met]
            grid.add_row(
                figure.name, f"[{style}]{value_of(figure)}[/]" if style else value_of(figure), target_of(figure)
            )
        console.print(grid)
    for table in result.tables:
        console.print(f"\n[bold]{table.title}")
        grid = Grid(*table.columns, box=None, pad_edge=False, header_style="dim")
        for row in table.rows:
            grid.add_row(*row)
        console.print(grid)
    for note in result.notes:
        console.print(f"- {note}", style="dim")


def value_of(figure: Figure) -> str:
    number = (
        f"{figure.value:,.0f}"
        if abs(figure.value) >= 1000 or figure.value == int(figure.value)
        else f"{figure.value:.3g}"
    )
    return f"{number}{'' if figure.unit in ('x', '%') else ' '}{figure.unit}".strip()


def target_of(figure: Figure) -> str:
    if figure.target is None:
        return ""
    words = f"{figure.sense} {figure.target:,g}{'' if figure.unit in ('x', '%') else ' '}{figure.unit}".strip()
    return words if figure.met else f"{words}: MISSED"


def markdown(titles: Mapping[str, str], results: Mapping[str, Result], page: str) -> str:
    """docs/benchmarks.md. `titles` names every benchmark, in order; one without a result here keeps its section of
    `page`, the document that stands."""
    standing = {text.partition("\n")[0]: f"## {text}" for text in page.split("\n## ")[1:]}
    parts = [HEAD]
    for name, title in titles.items():
        if name in results:
            parts.append(_section(name, results[name]))
        elif title in standing:
            parts.append(standing[title])
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section(name: str, result: Result) -> str:
    parts = [f"## {result.title}", _provenance(name, result)]
    if result.figures:
        rows = [[figure.name, value_of(figure), target_of(figure)] for figure in result.figures]
        parts.append(grid(["figure", "measured", "target"], rows))
    parts += [f"**{table.title}**\n\n{grid(list(table.columns), table.rows)}" for table in result.tables]
    if result.notes:
        parts.append("\n".join(f"- {note}" for note in result.notes))
    return "\n\n".join(part.strip() for part in parts)


def grid(columns: list[str], rows: object) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]  # type: ignore[attr-defined]
    return "\n".join(lines)


def _provenance(name: str, result: Result) -> str:
    machine = result.machine
    versions = ", ".join(f"{package} {version}" for package, version in machine.get("versions", {}).items())
    short = " in its short form" if result.quick else ""
    return (
        f"`python -m benchmarks run {name}`{short}, {result.at}, {result.seconds:.0f} s. {machine.get('cpu')}, "
        f"{machine.get('cores')} cores, {machine.get('memory_gb')} GB; Python {machine.get('python')}; {versions}."
    )
