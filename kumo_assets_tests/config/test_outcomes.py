"""The `outcomes:` section of a definition: what it takes, what it refuses, and what it means by default."""

from __future__ import annotations

from typing import Any

import pytest
from kumo_sandbox.testing.releases import definition
from pydantic import ValidationError

from kumo_assets.config.outcomes import Outcomes

EVENTS = {"log": "transactions", "entity": "HOUSEHOLD_ID", "class": "PRODUCT_ID"}


def test_the_example_of_the_pages_is_taken() -> None:
    spec = definition("q1", outcomes={"horizon_days": 28, "ages": [7, 1, 28], "events": EVENTS}).spec
    assert spec.outcomes is not None
    assert spec.outcomes.looked_at == (1, 7, 28)
    assert spec.outcomes.sample == 100_000
    assert spec.outcomes.realised_quality.mode == "warn"
    assert definition("q1").spec.outcomes is None


@pytest.mark.parametrize(("horizon", "ages"), [(28, (1, 7, 28)), (14, (1, 7, 14)), (1, (1,)), (90, (1, 7, 28, 90))])
def test_the_usual_ages_reach_as_far_as_the_horizon(horizon: int, ages: tuple[int, ...]) -> None:
    assert Outcomes(horizon_days=horizon).looked_at == ages


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"outcomes": {"horizon_days": 7, "ages": [1, 28]}}, "28 is beyond horizon_days"),
        ({"outcomes": {"ages": [1, 1]}}, "twice"),
        ({"outcomes": {"ages": [0]}}, "greater than or equal to 1"),
        ({"outcomes": {"events": {**EVENTS, "log": "clicks"}}}, "'clicks' is not among raw_logs"),
        ({"outcomes": {"events": {**EVENTS, "class": 'P"'}}}, "pattern"),
        ({"task": "regression", "outcomes": {"events": EVENTS}}, "outcomes.sql"),
        ({"outcomes": {"realised_quality": {"mode": "block"}}}, "'warn', 'hold' or 'off'"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_reason(attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        definition("q1", **attributes)


def test_a_bare_off_of_yaml_means_the_word() -> None:
    assert Outcomes.model_validate({"realised_quality": {"mode": False}}).realised_quality.mode == "off"
