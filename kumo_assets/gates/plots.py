"""Small plots for the Dagster UI: this release over its baseline, as an inline PNG. Nothing is judged here."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from kumo_assets.gates.statistics import shares

NOW, BEFORE = "#2f6fde", "#b8c0cc"


def histogram_plot(edges: Sequence[float], reference: Sequence[float], current: Sequence[float]) -> str:
    """Markdown with an inline image: shares by bin, the baseline as bars behind, this release as bars before them."""
    labels = [f"≤ {edges[0]:.3g}", *(f"≤ {edge:.3g}" for edge in edges[1:]), f"> {edges[-1]:.3g}"]
    return _bars(labels, shares(reference), shares(current), "share of scores")


def classes_plot(reference: Mapping[str, float], current: Mapping[str, float], most: int = 12) -> str:
    """The baseline's most frequent classes, by share, before and now."""
    names = sorted(reference, key=lambda name: -reference[name])[:most]
    left, right = sum(reference.values()) or 1, sum(current.values()) or 1
    return _bars(
        names, [reference[name] / left for name in names], [current.get(name, 0) / right for name in names], "share"
    )


def _bars(labels: Sequence[str], reference: Sequence[float], current: Sequence[float], what: str) -> str:
    # The object interface only: pyplot keeps global state, and several checks may draw in one process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.6), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places: Any = range(len(labels))
    axes.bar(places, reference, width=0.9, color=BEFORE, label="active release")
    axes.bar(places, current, width=0.5, color=NOW, label="this release")
    axes.set_xticks(places, labels, rotation=45, ha="right", fontsize=7)
    axes.set_ylabel(what, fontsize=8)
    axes.tick_params(axis="y", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return f"![this release over the active one](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})"
