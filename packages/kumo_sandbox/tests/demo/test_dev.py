"""`kumo-sandbox dev`: what it refuses to start, and that one signal ends all of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from kumo_sandbox.dev import make_dagster_storage, run_dev
from kumo_sandbox.errors import SandboxError, SandboxUsage
from kumo_sandbox.programs import Group, Program
from kumo_sandbox.settings import free_port, make
from kumo_sandbox.supervisor import status
from rich.console import Console

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]
QUIET = Console(quiet=True)


def test_folder_without_a_workspace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SandboxUsage, match=r"no workspace\.yaml"):
        run_dev(tmp_path / "home", tmp_path, QUIET)
    assert not (tmp_path / "home").exists()


def test_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SandboxError, match="is taken by pid"):
            run_dev(tmp_path / "home", ROOT, QUIET, port=taken.getsockname()[1])
    assert not (tmp_path / "home").exists()


def test_storage_is_made_whole_and_once(tmp_path: Path) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path), "DAGSTER_DISABLE_TELEMETRY": "1"}
    for _ in range(2):
        make_dagster_storage(environment, ROOT)
    made = [
        tmp_path / "history" / "runs.db",
        tmp_path / "history" / "runs" / "index.db",
        tmp_path / "schedules" / "schedules.db",
    ]
    for file in made:
        with contextlib.closing(sqlite3.connect(file)) as database:
            assert database.execute("SELECT COUNT(*) FROM alembic_version").fetchone() == (1,)


def test_home_dagster_cannot_use_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("run_launcher: nonsense\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    home = tmp_path / "home"
    with pytest.raises(SandboxError, match=rf"make Dagster's storage in {tmp_path}"):
        run_dev(home, ROOT, QUIET, port=free_port(), shop_port=free_port())
    assert {part.state for part in status(make(home))} == {"stopped"}


def test_group_ends_what_its_programs_started_too(tmp_path: Path) -> None:
    child = tmp_path / "child.pid"
    group = Group(QUIET, dict(os.environ), tmp_path)
    # The child ignores the signal, as a code server does that still has a call to answer.
    group.start(Program("parent", ["bash", "-c", f"(trap '' TERM; echo $BASHPID > {child}; sleep 60) & wait"], "red"))
    deadline = time.monotonic() + 10
    while not (child.exists() and child.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    pid = int(child.read_text())
    assert group.dead() is None
    group.end()
    deadline = time.monotonic() + 5
    while (
        psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_group_knows_which_program_died(tmp_path: Path) -> None:
    group = Group(QUIET, dict(os.environ), tmp_path)
    group.start(Program("brief", ["bash", "-c", "exit 7"], "red"))
    deadline = time.monotonic() + 10
    while group.dead() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert group.dead() == ("brief", 7)
    group.end()


@pytest.mark.sandbox
@pytest.mark.timeout(600)
def test_one_interrupt_stops_sandbox_dagster_daemon_and_shop(tmp_path: Path) -> None:
    home, port, shop = tmp_path / "home", free_port(), free_port()
    settings = make(home, automatic_ports=True)
    dagster_home = tmp_path / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    command = [str(Path(sys.executable).parent / "kumo-sandbox"), "dev", "--home", str(home)]
    log = tmp_path / "dev.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--shop-port", str(shop)],
            cwd=ROOT,
            env={**os.environ, "DAGSTER_HOME": str(dagster_home)},
            stderr=out,
        )
    try:
        deadline = time.monotonic() + 280
        while (
            "Ctrl-C stops all of it" not in log.read_text() and process.poll() is None and time.monotonic() < deadline
        ):
            time.sleep(0.2)
        assert "Ctrl-C stops all of it" in log.read_text(), log.read_text()[-3000:]
        assert "1,339,220 events up to 2017-11-30" in log.read_text()
        assert httpx.get(f"http://127.0.0.1:{port}/server_info", trust_env=False).status_code == 200
        assert httpx.get(f"http://127.0.0.1:{shop}/", trust_env=False).status_code == 200
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 4
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=200) == 0
        _gone, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
        assert {part.state for part in status(settings)} == {"stopped"}
        for line in ("dagster    ", "daemon     "):
            assert line in log.read_text()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)
