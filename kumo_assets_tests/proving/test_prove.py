"""`kumo-assets prove` against the sandbox: every row holds or says why it was not tried, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient

from kumo_assets.proving.assumptions import ASSUMPTIONS
from kumo_assets_tests.cli.conftest import Done, kumo_assets
from kumo_assets_tests.proving.conftest import Ground
from kumo_assets_tests.support.zookeeper import restartable_zookeeper

EMULATED = "the emulator enforces no permissions"
NOT_TRIED = {
    "denied-unload": EMULATED,
    "denied-s3-outside": EMULATED,
    "denied-s3-version": EMULATED,
    "denied-item-write": EMULATED,
    "denied-expiry": EMULATED,
    "table-encryption": "no query has table.sse",
    "table-replicas": "--with-replicas was not given",
}


@dataclass(frozen=True)
class Proved:
    """One whole run, and what it left."""

    done: Done
    left: list[str]
    znodes: list[str]

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in self.done.document["rows"]}


@pytest.fixture(scope="module")
def proved(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proved]:
    """One run of everything, shared by the tests of this module."""
    home: Path = tmp_path_factory.mktemp("zookeeper")
    with restartable_zookeeper(home) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUMO_ASSETS_ZOOKEEPER", server.hosts)
        patch.setenv("KUMO_ASSETS_ZOOKEEPER_AUTH", "prove:secret-of-the-test")
        done = kumo_assets("prove", "--json", "--with-kumo-job")
        client = KazooClient(hosts=server.hosts)
        client.start()
        try:
            znodes = client.get_children("/")
        finally:
            client.stop()
            client.close()
        yield Proved(done, ground.left(), znodes)


def test_each_row_holds_or_says_why_it_was_not_tried(proved: Proved) -> None:
    assert proved.done.status == 0, proved.done.err
    assert proved.done.document["ok"] is True
    assert list(proved.rows) == [one.name for one in ASSUMPTIONS]
    found = {name: row["seen"] for name, row in proved.rows.items() if row["outcome"] != "holds"}
    assert found == NOT_TRIED


def test_nothing_is_left_behind(proved: Proved) -> None:
    assert proved.done.document["left"] == []
    assert proved.left == []
    assert proved.znodes == ["zookeeper"]


def test_cost_is_said_first_and_each_row_as_it_is_decided(proved: Proved) -> None:
    lines = proved.done.err.splitlines()
    assert lines[0].startswith("estimated cost: ")
    decided = [line for line in lines if line.startswith("[")]
    assert len(decided) == len(ASSUMPTIONS)
    assert "secret-of-the-test" not in proved.done.err + proved.done.out


def test_rows_show_what_was_seen(proved: Proved) -> None:
    assert proved.rows["snowflake-float-plain"]["seen"] == "0.1 + 0.2 is written 0.3"
    assert proved.rows["unload-encryption"]["seen"] == "AES256"
    assert proved.rows["kumo-job"]["seen"].startswith("job ")
    assert proved.rows["denied-zookeeper"]["seen"] == "denied: NoAuth"
