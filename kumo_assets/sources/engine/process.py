"""One process of the Engine's environment: started, followed through Dagster Pipes, and ended with us.

The parent's half of Dagster Pipes is here without Dagster: a context written to a file, and messages read from one
(dagster_pipes, protocol 0.1). What the messages mean is in `runs`; the child's half is `child/engine_program.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, DAGSTER_PIPES_MESSAGES_ENV_VAR, encode_param
from pydantic import JsonValue

from kumo_assets.errors import EngineError
from kumo_assets.redaction import without_secrets

PROGRAM = Path(__file__).with_name("child") / "engine_program.py"
LOOK_SECONDS = 0.2
# How long a process may take to end once it was asked to.
GRACE_SECONDS = 5.0
# Only what Python, the Engine and its S3 client need: no other system's secrets reach a user's question.
PASSED = ("AWS_", "LC_", "SSL_", "REQUESTS_", "HTTP", "NO_PROXY", "https_", "http_", "no_proxy", "CUDA_", "KUMO_RAISE_")
PASSED_WHOLE = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")

Message: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What a process is asked for: the `job` that the child reads, its folder, its threads, and when it is given up."""

    python: str
    job: Mapping[str, JsonValue]
    folder: Path
    threads: int | None
    deadline_seconds: float
    run_id: str
    partition: str | None = None


class EngineProcess:
    """A running process. `close` ends it and every worker that it started; a `with` block does so by itself."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._messages = job.folder / "messages"
        self._output = job.folder / "output"
        self._messages.touch(mode=0o600)
        context = job.folder / "context.json"
        context.write_text(json.dumps(_context(job)))
        self._deadline = time.monotonic() + job.deadline_seconds
        with self._output.open("wb") as output:
            try:
                self._process = subprocess.Popen(
                    [job.python, "-u", str(PROGRAM)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    cwd=job.folder,
                    env=_environment(job, context, self._messages),
                    # A group of its own: its workers end with it, and a Ctrl-C is ours to pass on.
                    start_new_session=True,
                )
            except OSError as error:
                raise _failed(f"it cannot be started: {error}", "correct KUMO_ENGINE_PYTHON") from error
        self._read = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def order(self, order: Mapping[str, JsonValue]) -> None:
        """The one line that the child waits for. A child that has ended says why in its messages."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def messages(self, watch: Callable[[], object] = lambda: None) -> Iterator[Message]:
        """What the child reports, as it comes, to its end. `watch` is called several times a second, and may raise.

        Raises EngineError when the child ends otherwise than with its last message, or takes longer than its deadline.
        """
        closed = False
        while True:
            ended = self._process.poll()
            for message in self._new():
                closed = closed or message.get("method") == "closed"
                yield message
            if ended is not None:
                if ended != 0 or not closed:
                    raise self._ended(ended)
                return
            watch()
            if time.monotonic() > self._deadline:
                raise _failed(
                    f"it took longer than {self._job.deadline_seconds / 60:.0f} minutes", "raise its deadline_minutes"
                )
            time.sleep(LOOK_SECONDS)

    def _new(self) -> list[Message]:
        with self._messages.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [json.loads(line) for line in whole.splitlines() if line.strip()]

    def close(self) -> None:
        """End the process and its workers: asked first, killed when that takes too long. Called again, it does nothing."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, sent)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # workers that outlived it
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    def _ended(self, status: int) -> EngineError:
        last = without_secrets(" ".join(self._output.read_text(errors="replace").split()))[-300:]
        if status == -signal.SIGKILL:
            return _failed(
                "it was killed by signal 9: the machine had no memory left for it, or somebody killed it",
                "see the kernel's log; lower source.engine.fan_out, batch_size or channels, or use a larger machine. "
                "Run this again: it is another attempt",
            )
        if status < 0:
            return _failed(f"it was ended by signal {-status} ({signal.strsignal(-status)}): {last}", AGAIN)
        return _failed(f"it ended with status {status}: {last}", AGAIN)


AGAIN = "run this again: it is another attempt"


def _failed(found: str, following: str) -> EngineError:
    return EngineError("run the Kumo Engine's process", found=found, next=following)


def _context(job: Job) -> dict[str, JsonValue]:
    """What dagster_pipes.PipesContextData needs."""
    return {
        "asset_keys": None,
        "code_version_by_asset_key": None,
        "provenance_by_asset_key": None,
        "partition_key": job.partition,
        "partition_key_range": None,
        "partition_time_window": None,
        "run_id": job.run_id,
        "job_name": None,
        "retry_number": 0,
        "extras": {"job": dict(job.job)},
    }


def _environment(job: Job, context: Path, messages: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(PASSED) or name in PASSED_WHOLE}
    threads = {"OMP_NUM_THREADS": str(job.threads)} if job.threads is not None else {}
    return {
        **kept,
        **threads,
        "KUMO_ASSETS_PARENT": str(os.getpid()),
        "PYTHONDONTWRITEBYTECODE": "1",
        DAGSTER_PIPES_CONTEXT_ENV_VAR: encode_param({"path": str(context)}),
        DAGSTER_PIPES_MESSAGES_ENV_VAR: encode_param({"path": str(messages)}),
    }
