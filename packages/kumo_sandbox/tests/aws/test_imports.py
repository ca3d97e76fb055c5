"""ImportTable's rules as pure functions: what counts as a good line, and what is remembered of a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox.aws import imports
from kumo_sandbox.aws.imports import Imports, fingerprint, good_part

HEAD = '"e","p"\n'


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (HEAD + '"1","a"\n"2","b"\n', None),
        (HEAD + '"1","a\n""b"",c"\n', None),
        (HEAD + '"1","a"\n"2"\n"3","c"\n', HEAD + '"1","a"\n'),
        (HEAD + '"1","a"\n"","b"\n"3","c"\n', HEAD + '"1","a"\n'),
        (HEAD + '"1","a"\n"2","b"x,"c"\n', HEAD + '"1","a"\n'),
        ('"other","p"\n"1","a"\n', ""),
    ],
    ids=["good", "quotes and lines", "short line", "no key", "broken quote", "no key column"],
)
def test_csv_is_kept_up_to_the_first_line_that_is_no_item(text: str, kept: str | None) -> None:
    assert good_part(text, "CSV", "e") == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"Item":{"e":{"S":"1"}}}\n{"Item":{"e":{"S":"2"}}}\n', None),
        ('{"Item":{"e":{"S":"1"}}}\nno json\n{"Item":{"e":{"S":"3"}}}\n', '{"Item":{"e":{"S":"1"}}}\n'),
        ('{"Item":{"e":{"S":"1"}}}\n{"Item":{"p":{"S":"2"}}}\n', '{"Item":{"e":{"S":"1"}}}\n'),
        ('{"Item":{"e":{"S":"1\u2028\u2029\u0085"}}}\n{"Item":{"e":{"S":"2"}}}\r\n', None),
    ],
    ids=["good", "not json", "no key", "separators that JSON allows"],
)
def test_json_is_kept_up_to_the_first_line_that_is_no_item(text: str, kept: str | None) -> None:
    assert good_part(text, "DYNAMODB_JSON", "e") == kept


def request(token: str, table: str = "t") -> dict[str, Any]:
    return {
        "ClientToken": token,
        "TableCreationParameters": {"TableName": table},
        "S3BucketSource": {"S3Bucket": "b", "S3KeyPrefix": "p/"},
    }


def test_only_the_token_may_differ_between_calls_that_are_the_same() -> None:
    assert fingerprint(request("one")) == fingerprint(request("two"))
    assert fingerprint(request("one")) != fingerprint(request("one", "u"))


def test_token_outlives_a_restart_but_not_eight_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "imports.json"
    Imports(file).remember(request("token"), "arn:1", 2)
    again = Imports(file)
    known = again.under("token")
    assert known is not None
    assert (known.arn, known.errors, known.source) == ("arn:1", 2, {"S3Bucket": "b", "S3KeyPrefix": "p/"})
    assert again.under("another") is None
    assert again.under("") is None
    later = known.at + imports.TOKEN_SECONDS + 1
    monkeypatch.setattr(imports.time, "time", lambda: later)
    assert again.under("token") is None
    assert "arn:1" in again.by_arn


def test_import_without_a_token_is_replayed_to_nobody(tmp_path: Path) -> None:
    kept = Imports(tmp_path / "imports.json")
    kept.remember({**request(""), "ClientToken": ""}, "arn:1", 0)
    assert kept.under("") is None


def test_counters_are_zero_until_the_import_ends_and_an_abandoned_object_is_one_error() -> None:
    kept = Imports()
    kept.remember(request("token"), "arn:1", 2)
    done = {"ImportArn": "arn:1", "ImportedItemCount": 7, "ProcessedItemCount": 7, "ErrorCount": 0}
    running = kept.corrected({**done, "ImportStatus": "IN_PROGRESS"})
    assert (running["ImportedItemCount"], running["ProcessedItemCount"], running["ErrorCount"]) == (0, 0, 0)
    ended = kept.corrected({**done, "ImportStatus": "COMPLETED"})
    assert (ended["ImportedItemCount"], ended["ProcessedItemCount"], ended["ErrorCount"]) == (7, 9, 2)
