"""Another program, run as a person would type it: `kumo-assets`, with the sandbox's environment.

What they say goes to the caller line by line; one JSON document comes back. What is run when is in `run`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kumo_serving.errors import KumoAssetsError

Line = Callable[[str], None]


class DemoFailed(KumoAssetsError):
    """A step of the demo ended with an exit status that ends the demo too, with the same one."""

    def __init__(self, doing: str, *, to: str = "", found: str = "", next: str = "", exit_status: int = 1) -> None:
        super().__init__(doing, to=to, found=found, next=next)
        self.exit_status = exit_status


@dataclass(frozen=True)
class Outcome:
    """How a program ended: exit status, the JSON document it printed (None when none), its last words."""

    status: int
    document: Any
    words: str

    @property
    def message(self) -> str:
        """The error's own sentence in the document, else the last line of what was said."""
        error = self.document.get("error") if isinstance(self.document, dict) else None
        said = error.get("message") if isinstance(error, dict) else error
        return str(said or (self.words.splitlines() or ["it said nothing"])[-1])


@dataclass(frozen=True)
class Commands:
    """`environment` is whole (nothing is inherited beside it), `folder` where the programs run."""

    environment: Mapping[str, str]
    folder: Path

    def assets(self, *arguments: str, on_line: Line = lambda line: None) -> Outcome:
        """`kumo-assets ARGUMENTS --json`."""
        return self._run([program("kumo-assets"), *arguments, "--json"], on_line)

    def _run(self, command: list[str], on_line: Line) -> Outcome:
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        last: deque[str] = deque(maxlen=40)
        assert process.stdout is not None
        assert process.stderr is not None
        stderr = process.stderr

        def listen() -> None:
            for line in stderr:
                told = readable(line)
                if told:
                    last.append(told)
                    on_line(told)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            printed = process.stdout.read()
            status = process.wait()
        except BaseException:
            # Ctrl-C reached the child too (one foreground group); it is given the time to end in good order.
            process.terminate()
            process.wait(timeout=30)
            raise
        listener.join(timeout=5)
        return Outcome(status, _document(printed), "\n".join(last))


def readable(line: str) -> str:
    """What a line of a program's log tells a person; "" for Dagster's book-keeping.

    Dagster writes `time - dagster - LEVEL - job - run - [pid - ]step - message`.
    """
    text = line.strip()
    parts = text.split(" - ")
    if len(parts) < 6 or parts[1] != "dagster":
        return text
    if parts[2] == "DEBUG":
        started = parts.index("STEP_START") if "STEP_START" in parts else None
        return parts[started - 1].replace("__", "/") if started else ""
    return " - ".join(parts[6:])


def program(name: str) -> str:
    """A console script of this Python environment."""
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise DemoFailed(
            "run", to=name, found=f"no {path}", next="install kumo-assets into the environment of kumo-sandbox"
        )
    return str(path)


def dagster_home(folder: Path, sandbox_home: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """DAGSTER_HOME of the demo's runs: the caller's, else `folder` when it is a Dagster project, else our own.

    `dagster.yaml` of a project names its storage by paths relative to the project, so it holds only when run from there.
    """
    if environ.get("DAGSTER_HOME"):
        return Path(environ["DAGSTER_HOME"])
    if (folder / "dagster.yaml").is_file():
        return folder
    home = sandbox_home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nnux: {enabled: false}\nconcurrency: {pools: {granularity: op, default_limit: 8}}\n"
    )
    return home


def read_environment(file: Path) -> dict[str, str]:
    """The KEY=VALUE lines that `kumo-sandbox start` wrote."""
    pairs = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines() if "=" in line)
    return {key.strip(): value for key, _, value in pairs if not key.startswith("#")}


def _document(printed: str) -> Any:
    try:
        return json.loads(printed)
    except ValueError:
        return None
