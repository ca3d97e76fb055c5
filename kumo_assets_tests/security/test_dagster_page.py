"""Dagster's page has no login: what is said about it is true, the sample proxy asks for one everywhere, and `doctor` sees a
page that is open to the network."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from dagster_webserver.cli import dagster_webserver

from kumo_assets.cli.webserver import open_pages, running, warning
from kumo_assets_tests.security.policies import DEPLOY

Block = list[tuple[str, Any]]


def parsed(text: str) -> Block:
    """An nginx configuration as directives: (words, None), and (words, block) for one with a block."""
    words = re.findall(r"[{};]|'[^']*'|[^\s{};]+", re.sub(r"#[^\n]*", "", text))
    stack: list[Block] = [[]]
    now: list[str] = []
    for word in words:
        if word == "{":
            block: Block = []
            stack[-1].append((" ".join(now), block))
            stack.append(block)
            now = []
        elif word == "}":
            assert not now, f"{now} has no semicolon"
            stack.pop()
        elif word == ";":
            stack[-1].append((" ".join(now), None))
            now = []
        else:
            now.append(word)
    assert len(stack) == 1, "the braces do not match"
    assert not now, f"{now} has no semicolon"
    return stack[0]


def test_the_sample_proxy_asks_for_a_login_wherever_dagster_is() -> None:
    [server] = [block for name, block in parsed((DEPLOY / "dagster" / "nginx.conf").read_text()) if name == "server"]
    places = {name: dict(block) for name, block in server if block is not None}
    targets = {name: [word for word in block if word.startswith("proxy_pass http")] for name, block in places.items()}
    dagster = [name for name, found in targets.items() if found == ["proxy_pass http://127.0.0.1:3000"]]
    assert dagster == ["location /"]
    assert all("auth_request /oauth2/auth" in places[name] for name in dagster)
    assert "internal" in places["location = /oauth2/auth"]
    assert all(":4180" in found[0] for name, found in targets.items() if name not in dagster)
    assert ("listen 443 ssl", None) in server
    assert not any(name.startswith("listen 80") for name, _ in server)


def test_dagsters_page_can_be_served_read_only_and_listens_on_loopback_by_default() -> None:
    options = {option.name: option for option in dagster_webserver.params}
    assert "--read-only" in options["read_only"].opts
    assert options["host"].default == "127.0.0.1"


@pytest.mark.parametrize(
    ("command", "is_open"),
    [
        (["/venv/bin/python", "/venv/bin/dagster-webserver", "-h", "0.0.0.0", "-p", "3000"], True),
        (["dagster-webserver", "--host=0.0.0.0"], True),
        (["dagster-webserver", "-h0.0.0.0"], True),
        (["python", "-m", "dagster_webserver", "-h", "::"], True),
        (["dagster", "dev", "--host", "10.0.0.7"], True),
        (["python", "/venv/bin/dg", "dev", "-h", "dagster.internal"], True),
        (["dagster-webserver", "-h", "0.0.0.0", "--read-only"], False),
        (["dagster-webserver", "-p", "3000"], False),
        (["dagster-webserver", "-h", "127.0.0.1"], False),
        (["dagster", "dev", "-h", "localhost"], False),
        (["dagster", "job", "list", "-h", "0.0.0.0"], False),
        (["less", "dev", "-h", "0.0.0.0"], False),
    ],
)
def test_a_page_that_is_open_to_the_network_is_told_from_others(command: Sequence[str], is_open: bool) -> None:
    assert bool(open_pages([command])) is is_open
    assert ("--read-only" in warning(open_pages([command]))) is is_open


def test_a_running_page_is_seen() -> None:
    waits = "import sys; print('here', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", waits, "dagster-webserver", "-h", "0.0.0.0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as page:
        assert page.stdout is not None
        page.stdout.readline()
        seen = [found for found in running() if waits in found]
        page.communicate()
    assert open_pages(seen) == [" ".join(command)]
