"""The curves of a training, drawn: what they show, and that odd values draw nothing."""

from __future__ import annotations

import base64
import math
import re

from kumo_assets.gates.plots import curves_plot


def drawn(curves: dict[str, list[float]]) -> str:
    markdown = curves_plot(curves, "loss by epoch")
    found = re.fullmatch(r"!\[loss by epoch\]\(data:image/svg\+xml;base64,(.+)\)", markdown)
    assert found is not None
    return base64.b64decode(found[1]).decode()


def test_each_curve_is_a_line_over_its_epochs() -> None:
    svg = drawn({"train_loss": [4.0, 2.0, 1.0], "val_loss": [3.0, 2.5, 2.6]})
    lines = re.findall(r'<polyline points="([^"]+)"', svg)
    assert [len(line.split()) for line in lines] == [3, 3]
    heights = [float(point.split(",")[1]) for point in lines[0].split()]
    assert heights == sorted(heights), "a loss that falls is drawn downwards"
    assert "train_loss" in svg
    assert "val_loss" in svg


def test_no_number_and_a_single_value_are_drawn_without_harm() -> None:
    svg = drawn({"<b>": [math.nan, 1.0], "empty": [], "same": [1.0]})
    assert "nan" not in svg
    assert "&lt;b&gt;" in svg
