"""What a post-processed table must prove: each fault alone is found, a whole table has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kumo_assets.assets.postprocess_proof import Proof, faults, prove_shape
from kumo_assets.errors import WarehouseError

WHOLE = Proof(rows=500, entities=100, nulls=0, keys=100, class_keys=500, rank_keys=500, longest=5)


def test_a_whole_table_has_no_fault() -> None:
    assert faults(WHOLE, 5, "ranking") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": 0, "class_keys": 0, "rank_keys": 0}, "no rows"),
        ({"nulls": 3}, "3 rows have a null"),
        ({"keys": 99}, "only 99 distinct keys"),
        ({"class_keys": 499}, "(ENTITY, CLASS)"),
        ({"rank_keys": 498}, "(ENTITY, RANK)"),
        ({"longest": 6}, "6 long"),
    ],
)
def test_each_fault_alone_is_found(change: dict[str, int], words: str) -> None:
    found = faults(replace(WHOLE, **change), 5, "ranking")
    assert len(found) == 1
    assert words in found[0]


def test_a_missing_column_is_named_with_those_found() -> None:
    with pytest.raises(WarehouseError, match=r"no column RANK; it has ENTITY, CLASS, SCORE"):
        prove_shape(["ENTITY", "CLASS", "SCORE"], "ranking", "T")
