"""Verdicts as text and as JSON; plots; who is notified."""

from __future__ import annotations

import base64
import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kumo_assets.documents import Verdict
from kumo_assets.gates import reporting
from kumo_assets.gates.explain import explain, explained
from kumo_assets.gates.judgement import Judgement, Severity, to_verdict
from kumo_assets.gates.plots import bars_plot
from kumo_assets_tests.support.opened import OPENED


def verdict(gate: str, severity: Severity = "ok", mode: str = "block") -> Verdict:
    judgement = Judgement(
        severity,
        f"{gate} says so",
        0.3,
        {"warn": 0.1, "block": 0.2},
        {"kind": "active", "release_id": "20171129-1a2b3c4d"},
        segment="scores above 2",
        bars={"above 2": (0.1, 0.4)},
    )
    return to_verdict(judgement, OPENED, gate, "predictions", mode, "run")


def test_what_blocks_comes_first_and_each_verdict_says_all_that_is_known() -> None:
    found = {"a_fine": verdict("a_fine"), "volume": verdict("volume", "error"), "keys": None, "b": verdict("b", "warn")}
    page = explain(OPENED, found)
    assert [page.index(f"\n  {gate}:") for gate in ("volume", "keys", "b", "a_fine")] == sorted(
        page.index(f"\n  {gate}:") for gate in found
    )
    paragraph = page[page.index("  volume:") : page.index("  keys:")]
    for words in (
        "BLOCKS (mode block)",
        "volume says so",
        "value     0.3",
        "warn 0.1, block 0.2",
        "release_id 20171129-1a2b3c4d",
        "moved     scores above 2",
        "look at   compare the raw logs",
    ):
        assert words in paragraph
    assert "keys: MISSING" in page


def test_the_json_has_the_same_for_scripts() -> None:
    found = explained({"volume": verdict("volume", "error"), "keys": None, "own_gate": verdict("own_gate", "warn")})
    by_gate = {item["gate"]: item for item in found}
    assert by_gate["volume"]["segment"] == "scores above 2"
    assert by_gate["volume"]["look_at"].startswith("compare the raw logs")
    assert by_gate["keys"]["severity"] == "missing"
    assert not by_gate["keys"]["passed"]
    assert "gates/own_gate.sql" in by_gate["own_gate"]["look_at"]
    assert {"value", "limits", "baseline", "message"} <= by_gate["keys"].keys() & by_gate["volume"].keys()


def image(markdown: str) -> ElementTree.Element:
    found = re.fullmatch(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert found is not None
    return ElementTree.fromstring(base64.b64decode(found[1]))


@given(
    st.dictionaries(
        st.text(max_size=40),
        st.tuples(st.none() | st.floats(), st.floats()),
        min_size=1,
        max_size=14,
    )
)
def test_a_plot_is_a_well_formed_image_whatever_the_labels_and_figures(
    bars: dict[str, tuple[float | None, float]],
) -> None:
    clean = {"".join(c for c in name if c.isprintable()): pair for name, pair in bars.items()}
    drawn = image(bars_plot(clean, "gate"))
    widths = [float(item.get("width", "0")) for item in drawn.iter() if item.get("height") and item.get("x") == "190"]
    assert all(math.isfinite(width) and 0 <= width <= 561 for width in widths)


def test_a_plot_shows_this_release_over_its_baseline() -> None:
    drawn = image(bars_plot({"a": (0.5, 0.25), "b": (None, 1.0)}, "gate"))
    rectangles = [item for item in drawn.iter() if item.tag.endswith("rect") and item.get("x") == "190"]
    bars = [(item.get("fill"), float(item.get("width", "0"))) for item in rectangles if item.get("y") != "8"]
    assert bars == [("#b8c0cc", 130.0), ("#2f6fde", 65.0), ("#2f6fde", 260.0)]
    words = [item.text for item in drawn.iter() if item.tag.endswith("text")]
    assert "0.25 ← 0.5" in words


@pytest.mark.parametrize(
    ("severities", "kind", "words"),
    [
        (["ok", "ok"], None, ""),
        (["ok", "warn"], "warned", "passes with warnings"),
        (["warn", "error"], "blocked", "is blocked by its gates"),
    ],
)
def test_one_notification_has_all_that_warns_or_blocks(
    severities: list[Severity], kind: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str, str, list[str]]] = []
    monkeypatch.setattr(reporting, "notify", lambda *message: sent.append(message))
    reporting.notify_of("q1", [verdict(f"gate{index}", severity) for index, severity in enumerate(severities)])
    if kind is None:
        assert sent == []
        return
    [(query, found, title, lines)] = sent
    assert (query, found) == ("q1", kind)
    assert words in title
    assert "20171130-1a2b3c4d" in title
    assert len(lines) == 1 + sum(severity != "ok" for severity in severities)
    assert lines[-1] == "kumo-assets gates q1 --partition 2017-11-30"
