"""What was done and what was seen, when; whether it was what it should be; and how many reads failed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kumo_sandbox.testing.watch import Seen, watching
from rich.console import Console
from rich.table import Table

# One process of readers beside everything else on two cores: some 100 lookups a second.
READERS, THREADS = 4, 2
WORDS = 200


class NotAsItShould(Exception):
    """A scene ended otherwise than it should."""


@dataclass(frozen=True)
class Moment:
    """One line of the timeline; `at` in seconds since the drill began."""

    at: float
    scene: str
    done: str
    seen: str
    right: bool


@dataclass
class Timeline:
    """`console` gets each line as it happens, and in the end all of them as one table."""

    console: Console
    began: float = field(default_factory=time.monotonic)
    moments: list[Moment] = field(default_factory=list)
    reads: int = 0
    failed: list[str] = field(default_factory=list)
    current: str = ""

    @property
    def good(self) -> bool:
        return not self.failed and self.reads > 0 and all(moment.right for moment in self.moments)

    def add(self, done: str, seen: str, right: bool = True) -> None:
        moment = Moment(time.monotonic() - self.began, self.current, done, _short(seen), right)
        self.moments.append(moment)
        mark = "" if right else "[red]NOT AS IT SHOULD BE[/] "
        self.console.print(f"[dim]{moment.at:6.1f} s[/]  [bold]{self.current}[/]  {_plain(done)}", soft_wrap=True)
        self.console.print(f"          {mark}{_plain(moment.seen)}", soft_wrap=True)

    def demand(self, right: bool, done: str, seen: str) -> None:
        """A line of the timeline; the scene ends here when it was not as it should be."""
        self.add(done, seen, right)
        if not right:
            raise NotAsItShould(done)

    @contextmanager
    def scene(self, title: str) -> Iterator[None]:
        """Whatever goes wrong in a scene is in the timeline; the next scene is played all the same."""
        self.current = title
        try:
            yield
        except NotAsItShould:
            pass
        except Exception as error:  # noqa: BLE001 - a drill tells of every trouble
            self.add("the scene broke off", f"{type(error).__name__}: {error}", right=False)

    @contextmanager
    def readers(self, query: str, uri: str) -> Iterator[Seen]:
        """Reader load until the block ends, also when it ends badly; its figures are a line of the timeline."""
        trouble: Exception | None = None
        with watching(query, uri, 1, READERS, THREADS) as seen:
            try:
                yield seen
            except Exception as error:  # noqa: BLE001 - raised again, once the readers have told what they saw
                trouble = error
        self.reads += seen.lookups
        self.failed += seen.wrong
        served = [" > ".join(release for release, _ in sights) for sights in seen.sights]
        text = f"{seen.lookups:,} reads, {len(seen.wrong)} failed; releases seen: {' | '.join(sorted(set(served)))}"
        self.add(f"{READERS} readers asked all the while", "; ".join([text, *seen.wrong[:3]]), not seen.wrong)
        if trouble is not None:
            raise trouble

    def table(self) -> Table:
        table = Table(title="Game day", show_lines=True)
        for name in ("time", "scene", "what was done", "what was seen"):
            table.add_column(name, justify="right" if name == "time" else "left", overflow="fold")
        for moment in self.moments:
            colour = "" if moment.right else "red"
            table.add_row(
                f"{moment.at:.1f} s", moment.scene, _plain(moment.done), _plain(moment.seen), style=colour or None
            )
        return table


def wait_until(what: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return what()


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 2 * WORDS else f"{flat[: 2 * WORDS]} ..."


def _plain(text: str) -> str:
    """Brackets of other people's words are not rich's markup."""
    return text.replace("[", r"\[")
