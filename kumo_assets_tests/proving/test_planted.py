"""Differences planted at the HTTP proxy: each is found, by the rows that are about it and no others."""

from __future__ import annotations

import pytest

from kumo_assets_tests.cli.conftest import kumo_assets
from kumo_assets_tests.proving import planted
from kumo_assets_tests.proving.conftest import Ground
from kumo_assets_tests.proving.planted import Planted, served


@pytest.mark.parametrize(
    ("difference", "areas", "rows", "words"),
    [
        (
            planted.CompareAndSetIgnored,
            ("s3", "pointer"),
            {
                "s3-create-once",
                "s3-compare-and-set",
                "s3-one-winner",
                "pointer-s3-create",
                "pointer-s3-lose",
                "pointer-s3-race",
            },
            "the store ignores it",
        ),
        (planted.ScoresShortened, ("snowflake", "dynamodb"), {"unload-values", "reader-values"}, "0.30000000000000004"),
        (
            planted.TokenStartsAnother,
            ("dynamodb",),
            {"import-token-running", "import-token-ended", "import-token-other", "import-name-taken"},
            "a second import was started",
        ),
        (planted.LineBreaksChanged, ("dynamodb",), {"import-line-breaks"}, "both"),
        (planted.DuplicatesCounted, ("dynamodb",), {"import-complete", "import-line-breaks"}, "items imported"),
    ],
    ids=["compare-and-set-ignored", "scores-shortened", "token-starts-another", "crlf-changed", "duplicates-counted"],
)
def test_planted_difference_is_found(
    ground: Ground,
    monkeypatch: pytest.MonkeyPatch,
    difference: type[Planted],
    areas: tuple[str, ...],
    rows: set[str],
    words: str,
) -> None:
    with served(difference(ground.sandbox)) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        done = kumo_assets("prove", "--json", *(part for area in areas for part in ("--only", area)))
    assert done.status == 1, done.err
    differing = {row["name"]: row for row in done.document["rows"] if row["outcome"] == "differs"}
    assert differing.keys() == rows, done.err
    assert any(words in row["seen"] for row in differing.values())
    assert all(row["means"] for row in differing.values())
    monkeypatch.setenv("AWS_ENDPOINT_URL", ground.sandbox.url["aws"])
    assert ground.left() == []
