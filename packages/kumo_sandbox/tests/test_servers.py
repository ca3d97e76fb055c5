"""A test's own server: it serves when it is said to, ends by its pid, and an error shows what it wrote last."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import httpx
import pytest
from kumo_sandbox.errors import SandboxError
from kumo_sandbox.processes import port_is_free
from kumo_sandbox.settings import free_port
from kumo_sandbox.testing import Server, wait_for

pytestmark = pytest.mark.server

# Notes how it was ended; SIGKILL leaves no note.
NOTING = """
import atexit, http.server, pathlib, signal, sys
atexit.register(lambda: pathlib.Path("ended").write_text("by itself"))
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def server(home: Path, program: str, **options: str) -> Server:
    port = free_port()
    return Server("till", home, [sys.executable, "-c", program, str(port)], port, options)


def test_a_started_server_serves_and_a_stopped_one_frees_its_port(tmp_path: Path) -> None:
    till = server(tmp_path, NOTING)
    for _ in range(2):  # the second time on the same port
        with till:
            assert httpx.get(till.url, trust_env=False).is_success
            pid = till.pid
            assert pid is not None
        assert (tmp_path / "ended").read_text() == "by itself"
        (tmp_path / "ended").unlink()
        assert till.pid is None
        assert port_is_free(till.port)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_kill_gives_a_server_no_time_to_tidy_up(tmp_path: Path) -> None:
    till = server(tmp_path, NOTING)
    till.start()
    till.kill()
    assert not (tmp_path / "ended").exists()
    assert port_is_free(till.port)
    till.kill()  # nothing runs: nothing happens


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    till = server(tmp_path, NOTING.replace("lambda *_: sys.exit()", "signal.SIG_IGN"))
    till.start()
    began = time.monotonic()
    till.stop(seconds=0.2)
    assert time.monotonic() - began < 10
    assert port_is_free(till.port)


def test_a_server_that_ends_at_once_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    failing = server(tmp_path, "import os, sys; sys.exit('no till in ' + os.environ['SHOP'])", SHOP="the corner shop")
    for _ in range(2):  # an earlier start's lines are not shown again
        with pytest.raises(SandboxError, match="Could not start till: it ended") as failed:
            failing.start()
        assert len(re.findall("no till in the corner shop", str(failed.value))) == 1


def test_a_server_that_does_not_answer_is_an_error_and_is_ended(tmp_path: Path) -> None:
    silent = server(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    with pytest.raises(SandboxError, match=f"no answer on port {silent.port} in 1 s"):
        silent.start(seconds=1.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(silent.log.read_text()), signal.SIGCONT)


def test_waiting_ends_with_the_value_or_fails() -> None:
    values = iter(["", "milk"])
    assert wait_for(lambda: next(values)) == "milk"
    with pytest.raises(AssertionError, match=r"not within 0\.05 s"):
        wait_for(lambda: False, 0.05)
