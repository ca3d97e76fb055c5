"""The operational commands as whole processes: no Dagster, no definitions when a pointer's address is given, words and exit
statuses. What they do is in the tests of the operations."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox.testing.releases import Shop

from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.rollback import rollback

SHIPPED = Path(__file__).parents[2] / "kumo_assets" / "defs" / "next_best_product" / "defs.yaml"
# Runs a command, then says on stderr whether it imported what it must do without.
PROGRAM = """
import sys
from kumo_assets.cli.main import main
try:
    main()
finally:
    heavy = [name for name in ("dagster", "snowflake.connector", "pandas") if name in sys.modules]
    print("imported:", heavy, file=sys.stderr)
"""


def command(*arguments: str, cwd: Path, status: int = 0, stdin: str = "") -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=dict(os.environ),
        input=stdin,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert "imported: []" in done.stderr
    return done.stdout, done.stderr


def at_a_terminal(*arguments: str, answer: str, cwd: Path) -> tuple[str, int]:
    """What a person sees who types `answer` at the first question, and the exit status."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
        )
        os.write(ours, f"{answer}\n".encode())
        return process.communicate(timeout=120)[0], process.returncode
    finally:
        os.close(ours)
        os.close(theirs)


def two(either: Shop) -> tuple[str, str]:
    first = either.build("2017-11-29")
    promote(either.ctx, first, by="ann")
    second = either.build("2017-11-30")
    promote(either.ctx, second, by="ann")
    return first, second


def test_at_3_am_with_only_the_pointers_address(either: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No definitions, no KUMO_ASSETS_*, no Snowflake, Kumo or Dagster: status, rollback, history, unhold. A plain-text
    copy follows without the definition that asks for it, and none is made where there was none."""
    names, s3 = either.ctx.names, either.ctx.objects.client
    copy = {"Bucket": names.bucket, "Key": names.pointer_text_key}
    first, second = two(either)
    s3.put_object(**copy, Body=names.dynamodb_table(second).encode())
    for name in list(os.environ):
        if name.startswith(("KUMO_", "SNOWFLAKE_")):
            monkeypatch.delenv(name)
    address = ("--pointer", either.ctx.pointers.uri)
    page, _ = command("status", *address, cwd=tmp_path)
    assert f"active    {second}" in page
    done = json.loads(command("rollback", *address, "--reason", "odd lists", "--json", cwd=tmp_path)[0])
    assert (done["release_id"], done["left"], done["query"]) == (first, second, either.query)
    assert either.active() == first
    assert s3.get_object(**copy)["Body"].read().decode() == names.dynamodb_table(first)
    s3.delete_object(**copy)
    _, refused = command("rollback", *address, "--reason", "again", cwd=tmp_path, status=4)
    assert f"rolled back from {second} to {first}" in refused
    history, _ = command("history", *address, cwd=tmp_path)
    assert "odd lists" in history
    status = json.loads(command("status", *address, "--json", cwd=tmp_path)[0])
    assert status["hold"]["reason"] == "odd lists"
    _, asked = command("unhold", *address, cwd=tmp_path, status=2)
    assert "After this, the active release stays" in asked
    assert "give --yes" in asked
    command("unhold", *address, "--yes", cwd=tmp_path)
    found = either.ctx.pointers.read()
    assert found is not None
    assert found.pointer.hold is None
    assert "Contents" not in s3.list_objects_v2(Bucket=copy["Bucket"], Prefix=copy["Key"])


def test_unhold_asks_at_a_terminal_and_no_leaves_the_hold(store: Shop, tmp_path: Path) -> None:
    first, _ = two(store)
    rollback(store.ctx, by="ann", reason="odd lists")
    held = store.ctx.pointers.peek()
    address = ("--pointer", store.ctx.pointers.uri)
    words, status = at_a_terminal("unhold", *address, answer="n", cwd=tmp_path)
    assert (status, store.ctx.pointers.peek()) == (1, held), words
    assert words.index("After this, the active release stays") < words.index("Lift the hold? [y/N]"), words
    assert "Traceback" not in words
    words, status = at_a_terminal("unhold", *address, answer="y", cwd=tmp_path)
    found = store.ctx.pointers.read()
    assert status == 0, words
    assert found is not None
    assert (found.pointer.hold, found.pointer.release_id) == (None, first)


def test_a_query_and_an_address_that_disagree_are_refused(store: Shop, tmp_path: Path) -> None:
    two(store)
    uri = store.ctx.pointers.uri
    _, words = command("rollback", "other", "--pointer", uri, "--reason", "odd", cwd=tmp_path, status=2)
    assert store.query in words
    _, words = command("rollback", "--reason", "odd", cwd=tmp_path, status=2)
    assert "--pointer URI" in words


def test_an_address_where_nothing_is_is_told(store: Shop, tmp_path: Path) -> None:
    uri = store.ctx.pointers.uri
    _, words = command("rollback", "--pointer", uri, "--reason", "odd", cwd=tmp_path, status=2)
    assert "nothing is there" in words


def test_one_querys_broken_file_stops_no_other_querys_rollback(
    store: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kumo_sandbox.testing.releases import BUCKET

    first, _ = two(store)
    good, bad = tmp_path / "defs" / store.query, tmp_path / "defs" / "broken"
    for folder in (good, bad):
        folder.mkdir(parents=True)
    (good / "defs.yaml").write_text(SHIPPED.read_text())
    (bad / "defs.yaml").write_text("type: [")
    monkeypatch.setenv("KUMO_ASSETS_DEFS", str(tmp_path / "defs"))
    monkeypatch.setenv("KUMO_ASSETS_ENV", "local")
    monkeypatch.setenv("KUMO_ASSETS_BUCKET", BUCKET)
    documents: list[dict[str, Any]] = json.loads(command("status", "--json", cwd=tmp_path, status=1)[0])
    assert {item["query"]: "error" in item for item in documents} == {"broken": True, store.query: False}
    command("rollback", store.query, "--reason", "odd", cwd=tmp_path)
    assert store.active() == first
    _, words = command("rollback", "broken", "--reason", "odd", cwd=tmp_path, status=2)
    assert "not YAML" in words


def test_a_query_in_a_nested_folder_is_listed_found_and_rolled_back_and_its_double_is_refused(
    store: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a project of the user's own, found around the current folder."""
    from kumo_sandbox.testing.releases import BUCKET

    first, _ = two(store)
    (tmp_path / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "acme"\n')
    nested, double, other = (
        tmp_path / "acme" / "defs" / where / "defs.yaml"
        for where in (f"growth/emails/{store.query}", f"risk/{store.query}", "risk/other_query")
    )
    for path in (nested, other):
        path.parent.mkdir(parents=True)
        path.write_text(SHIPPED.read_text())
    monkeypatch.setenv("KUMO_ASSETS_ENV", "local")
    monkeypatch.setenv("KUMO_ASSETS_BUCKET", BUCKET)
    listed = json.loads(command("queries", "--json", cwd=tmp_path)[0])
    assert {item["name"] for item in listed} == {store.query, "other_query"}
    found = {item["query"]: item for item in json.loads(command("status", "--json", cwd=nested.parent)[0])}
    assert found[store.query]["release_id"] != first
    command("rollback", store.query, "--reason", "odd", cwd=nested.parent)
    assert store.active() == first
    assert json.loads(command("status", store.query, "--json", cwd=tmp_path)[0])["release_id"] == first

    double.parent.mkdir()
    double.write_text(SHIPPED.read_text())
    _, words = command("rollback", store.query, "--reason", "odd", cwd=tmp_path, status=2)
    assert f"in {nested} and in {double}" in words
    listed = json.loads(command("queries", "--json", cwd=tmp_path, status=1)[0])
    assert {item["name"]: "error" in item for item in listed} == {store.query: True, "other_query": False}


def test_status_of_all_ends_with_what_a_script_must_know(
    store: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 only when every state was read, 2 when not one query is configured, else 1 (so too where some could be read: the
    test of a broken file); each query is in the document."""
    from kumo_sandbox.testing.releases import BUCKET

    for name in (store.query, "other_query"):
        (tmp_path / "defs" / name).mkdir(parents=True)
        (tmp_path / "defs" / name / "defs.yaml").write_text(SHIPPED.read_text())
    monkeypatch.setenv("KUMO_ASSETS_DEFS", str(tmp_path / "defs"))
    monkeypatch.setenv("KUMO_ASSETS_BUCKET", BUCKET)

    def errors(status: int) -> dict[str, str | None]:
        printed, _ = command("status", "--json", cwd=tmp_path, status=status)
        return {item["query"]: item.get("error") for item in json.loads(printed)}

    told = errors(2)
    assert {name: "KUMO_ASSETS_ENV" in str(error) for name, error in told.items()} == dict.fromkeys(told, True)
    assert set(told) == {store.query, "other_query"}
    monkeypatch.setenv("KUMO_ASSETS_ENV", "local")
    assert errors(0) == {store.query: None, "other_query": None}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert all(errors(1).values())
