"""A process of the Engine's environment lives as long as its run, and says why it ended. The program is the shipped one,
under the Engine's own Python; only the vendor's package is not loaded (`support/engine_stub`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kumo_assets.errors import EngineError
from kumo_assets.sources.engine.process import EngineProcess, Job, Message
from kumo_assets.sources.engine.scratch import LOCK, prune, scratch
from kumo_assets_tests.support.engine import processes

ASKED: dict[str, Any] = {
    "action": "check",
    "version": "1.0.0",
    "question": {"pql": "PREDICT"},
    "types": {},
    "task": "ranking",
    "write": {},
}


def job(engine: Path, folder: Path, deadline: float = 60, **changed: Any) -> Job:
    folder.mkdir(exist_ok=True)
    asked = {**ASKED, "scratch": str(folder), **changed}
    return Job(python=str(engine), job=asked, folder=folder, threads=1, deadline_seconds=deadline, run_id="r")


def payloads(messages: list[Message]) -> list[dict[str, Any]]:
    return [item["params"]["payload"] for item in messages if item["method"] == "report_custom_message"]


def until(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.exists()


def nobody(folder: Path) -> bool:
    deadline = time.monotonic() + 10
    while processes(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not processes(folder)


def test_what_the_child_reports_arrives(engine: Path, engine_program: Path, tmp_path: Path) -> None:
    with EngineProcess(job(engine, tmp_path / "run")) as process:
        messages = list(process.messages())
    assert payloads(messages) == [{"checked": ["beware of the stub"]}, {"result": {"warnings": ["beware of the stub"]}}]
    assert any("Kumo Engine 1.0.0 is loaded" in str(item["params"]) for item in messages if item["method"] == "log")


def test_a_question_that_does_not_parse_is_reported_with_its_kind(
    engine: Path, engine_program: Path, tmp_path: Path
) -> None:
    with EngineProcess(job(engine, tmp_path / "run", question={"pql": "NONSENSE"})) as process:
        messages: list[Message] = []
        with pytest.raises(EngineError, match="it ended with status 1"):
            messages.extend(process.messages())
    text = (tmp_path / "run" / "messages").read_text()
    assert '"kind": "QuestionError"' in text


def test_another_version_of_the_engine_is_refused(engine: Path, engine_program: Path, tmp_path: Path) -> None:
    with EngineProcess(job(engine, tmp_path / "run", version="2.0.0")) as process, pytest.raises(EngineError):
        list(process.messages())
    assert "this is Kumo Engine 1.0.0, and 2.0.0 is needed" in (tmp_path / "run" / "messages").read_text()


def test_a_child_that_is_killed_is_said_to_have_had_no_memory(
    engine: Path, engine_program: Path, tmp_path: Path
) -> None:
    (engine_program / "mode").write_text("hang")
    with EngineProcess(job(engine, tmp_path / "run")) as process:
        until(engine_program / "hanging")
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="killed by signal 9: the machine had no memory left"):
            list(process.messages())
    assert nobody(tmp_path / "run"), "its workers died with it"


def test_leaving_the_block_ends_the_child_and_its_workers(engine: Path, engine_program: Path, tmp_path: Path) -> None:
    (engine_program / "mode").write_text("hang")
    with EngineProcess(job(engine, tmp_path / "run")):
        until(engine_program / "hanging")
        assert len(processes(tmp_path / "run")) == 2
    assert nobody(tmp_path / "run")


def test_a_deadline_ends_it(engine: Path, engine_program: Path, tmp_path: Path) -> None:
    (engine_program / "mode").write_text("hang")
    slow = job(engine, tmp_path / "run", deadline=1)
    with EngineProcess(slow) as process, pytest.raises(EngineError, match="it took longer than"):
        list(process.messages())
    assert nobody(tmp_path / "run")


PARENT = """
import json, sys, time
from pathlib import Path
from kumo_assets.sources.engine import process
process.PROGRAM = Path(sys.argv[1])
asked = json.loads(sys.argv[2])
folder = Path(asked["scratch"])
running = process.EngineProcess(process.Job(sys.argv[3], asked, folder, 1, 60, "r"))
time.sleep(600)
"""


def test_a_parent_that_is_killed_takes_the_child_and_its_workers_with_it(
    engine: Path, engine_program: Path, tmp_path: Path
) -> None:
    (engine_program / "mode").write_text("hang")
    folder = tmp_path / "run"
    folder.mkdir()
    asked = json.dumps({**ASKED, "scratch": str(folder)})
    program = str(engine_program / "engine_program.py")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, program, asked, str(engine)])
    try:
        until(engine_program / "hanging")
        assert len(processes(folder)) == 2
    finally:
        parent.kill()
        parent.wait()
    assert nobody(folder)


def test_no_secret_of_another_system_reaches_the_child(
    engine: Path, engine_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "needed")
    (engine_program / "mode").write_text("hang")
    with EngineProcess(job(engine, tmp_path / "run")) as process:
        until(engine_program / "hanging")
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert b"needed" in environment
    assert b"hunter2" not in environment
    assert b"needed" not in arguments
    assert "needed" not in (tmp_path / "run" / "context.json").read_text()


def test_scratch_of_a_dead_process_is_removed_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_ENGINE_SCRATCH", str(tmp_path / "scratch"))
    with scratch("a") as alive:
        dead = alive.parent / "dead"
        dead.mkdir()
        (dead / LOCK).touch()
        (dead / "big").write_text("x")
        assert prune(alive.parent) == [], "it may be one that is being made"
        assert prune(alive.parent, young_seconds=0) == ["dead"]
        assert alive.is_dir()
    assert not alive.exists()
