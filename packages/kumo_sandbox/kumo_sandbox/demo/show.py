"""What the demo prints: steps with a spinner and their seconds, the answer to one lookup, how good the lists were.

What the figures are is counted in `evaluate.py`; nothing here decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kumo_sandbox.demo.evaluate import Evaluation


class Step:
    """One step in progress. `line` shows its current activity; `done` is the text of the finished line."""

    def __init__(self, title: str, line: Callable[[str], None]) -> None:
        self.done = title
        self.line = line


class Show:
    """Everything the demo prints goes through here. `console` writes to stderr when stdout carries JSON."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def title(self, text: str) -> None:
        self.console.print()
        self.console.print(Text(text, style="bold"))

    def note(self, text: str) -> None:
        self.console.print(Text(f"    {text}", style="dim"), soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A spinner while the body runs; then one line with the seconds it took, or a cross when it raised."""
        started = time.monotonic()
        with self.console.status(Text(title)) as status:

            def update(line: str) -> None:
                room = max(20, self.console.width - len(title) - 8)
                text = Text(title)
                text.append(f"  {line[:room]}", style="dim")
                status.update(text)

            step = Step(title, update)
            try:
                yield step
            except BaseException:
                self._finished("✗", "red", title, started)
                raise
        self._finished("✓", "green", step.done, started)

    def _finished(self, mark: str, style: str, text: str, started: float) -> None:
        line = Text("  ")
        line.append(mark, style=style)
        line.append(f" {text}")
        line.append(f"  {time.monotonic() - started:.1f} s", style="dim")
        self.console.print(line, soft_wrap=True)

    def answer(self, title: str, subtitle: str, rows: Sequence[ShownItem], days: int) -> None:
        """One entity's list, with how often the entity took each item before, and whether it did after."""
        table = Table(title=title, title_justify="left", title_style="bold", caption=subtitle, caption_justify="left")
        table.add_column("", justify="right", style="dim")
        table.add_column("item")
        if any(row.department for row in rows):
            table.add_column("department")
        table.add_column("score", justify="right")
        table.add_column("taken before", justify="right")
        if days:
            table.add_column(f"in the {days} days after")
        for place, row in enumerate(rows, 1):
            cells = [str(place), row.name]
            if any(other.department for other in rows):
                cells.append(row.department)
            cells += [f"{row.score:.3f}", f"{row.before} times" if row.before != 1 else "once"]
            if days:
                cells.append("[green]taken[/]" if row.after else "[dim]no[/]")
            table.add_row(*cells)
        self.console.print()
        self.console.print(table)

    def figure(self, found: Evaluation, noun: str) -> None:
        """How many predicted items were taken, beside the same figure for the most popular items."""
        table = Table(
            title=f"Of the {found.listed} predicted items, how many were taken in the {found.days} days after?",
            title_justify="left",
            title_style="bold",
            caption=f"Both columns are over all {found.entities:,} {noun} with a list; {found.active:,} of them were "
            "active in those days. The run never saw these events.",
            caption_justify="left",
        )
        table.add_column("")
        table.add_column(f"mean of {found.listed}", justify="right")
        table.add_column("at least one", justify="right")
        rows = [("this release", found.predicted, "bold")]
        if found.before is not None:
            rows.append(("the release before it, on the same days", found.before, ""))
        rows.append(("its fallback list, the same for everybody", found.popular, ""))
        for name, score, style in rows:
            table.add_row(name, f"{score.mean_hits:.2f}", f"{score.hit_share:.0%}", style=style)
        self.console.print()
        self.console.print(table)

    def blocked(self, text: str) -> None:
        self.console.print()
        self.console.print(Panel(Text(text), title="blocked by a gate", title_align="left", border_style="red"))

    def next(self, lines: Sequence[tuple[str, str]]) -> None:
        """What to look at next: commands and what they show."""
        self.console.print()
        self.console.print(Text("What to look at next", style="bold"))
        width = max(len(command) for command, _ in lines)
        for command, why in lines:
            line = Text("  ")
            line.append(command.ljust(width), style="cyan")
            line.append(f"   {why}", style="dim")
            self.console.print(line, soft_wrap=True)


@dataclass(frozen=True)
class ShownItem:
    """One line of a shown list. `before`: days on which the entity took the item; `after`: whether it did again."""

    name: str
    department: str
    score: float
    before: int
    after: bool
