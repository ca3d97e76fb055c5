"""Servers, environments and rounds: run each peer in its own process, in turns, against one server with one content.

aiobotocore and Feast pin botocore, and aiodynamo is of no use here but as a peer, so each has an environment of its own
under .venv-bench, made on demand from requirements/bench-<peer>.lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REGION = "us-east-1"
# peer or part -> the lock file of its environment
ENVIRONMENTS = {"aiobotocore": "aiobotocore", "aiodynamo": "aiodynamo", "feast": "feast", "aiohttp": "aiobotocore"}
FLOOR = "floor"
ALTERNATIVES = ("http.client", "aiohttp")

Found = dict[str, dict[str, list[float]]]


def set_variables() -> None:
    """AWS variables of this process and those it starts: no credentials of the machine's owner, no metadata service."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="AKIDBENCH",
        AWS_SECRET_ACCESS_KEY="bench",
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_EC2_METADATA_DISABLED="true",
        FEAST_USAGE="False",
    )


def environment(peer: str) -> str:
    """The Python that has what a peer needs."""
    name = ENVIRONMENTS.get(peer)
    if name is None:
        return sys.executable
    lock, folder = ROOT / "requirements" / f"bench-{name}.lock", ROOT / ".venv-bench" / name
    python, stamp = folder / "bin" / "python", folder / "lock"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        print(f"making {folder} ...", file=sys.stderr)
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "-q", "--clear", "-p", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", str(folder), "-r", str(lock)], check=True)
        stamp.write_bytes(lock.read_bytes())
    return str(python)


@contextlib.contextmanager
def fast() -> Iterator[str]:
    """The minimal loopback server: its URL."""
    process = subprocess.Popen([sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """All processes started within share one core, where the system can say so. Between a request and its answer no core
    falls asleep then: on a virtual machine, being woken costs a lookup up to as much as all of its work."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def ministack() -> Iterator[str]:
    """The sandbox's emulator of AWS, one of this run's own: its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "STATE_DIR": home}
        process = subprocess.Popen(
            [str(ROOT / ".venv-ministack" / "bin" / "ministack")],
            env={**os.environ, **settings, "LOG_LEVEL": "ERROR"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=home,
        )
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def rounds(url: str, parts: list[str], seconds: float, count: int) -> Found:
    """part -> figure -> CPU microseconds of each round. Every other round goes backwards: no peer is always first."""
    found: Found = {part: {} for part in parts}
    for turn in range(count):
        for part in parts if turn % 2 == 0 else parts[::-1]:
            script = HERE / ("floor.py" if part == FLOOR or part in ALTERNATIVES else "peers.py")
            command = [environment(part), str(script), part, url, str(seconds)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
            if done.returncode != 0:
                raise RuntimeError(f"{part} failed:\n{done.stderr[-3000:]}")
            for figure, microseconds in json.loads(done.stdout.splitlines()[-1]).items():
                found[part].setdefault(figure, []).append(microseconds)
            print(f"  round {turn + 1} {part}", file=sys.stderr)
    return found


def import_milliseconds(module: str, count: int) -> float:
    """CPU a service pays for importing `module` when it has botocore and asyncio: the least of some processes.

    botocore imports awscrt by itself where that is installed; it is hidden from botocore, so it counts as `module`'s.
    """
    code = (
        "import sys, time; sys.modules['awscrt'] = None; import asyncio, botocore.session; del sys.modules['awscrt']; "
        f"began = time.process_time(); import {module}; print((time.process_time() - began) * 1000)"
    )
    return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(count))
