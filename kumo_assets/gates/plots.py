"""Small plots for the Dagster UI, as inline SVG images: this release over its baseline, and curves over epochs. Nothing
is judged here.

Written by hand because it is on every run's path: matplotlib took 60 MB, 1 s to import and 0.1 s for each of a dozen
images. Dagster's UI shows Markdown images from `data:` addresses (its sanitizer's allowed protocols).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle

NOW, BEFORE, INK, QUIET = "#2f6fde", "#b8c0cc", "#30343b", "#6b7280"
WIDTH, ROW, TOP, LEFT, RIGHT = 560, 22, 28, 190, 110
LONGEST_LABEL = 28


def bars_plot(bars: Mapping[str, Sequence[float | None]], alt: str) -> str:
    """Markdown with one horizontal bar per label: the baseline's value behind, this release's before it.

    `bars` has (before or None, now) by label; what is no number has no bar.
    """
    finite = [abs(value) for pair in bars.values() for value in pair if value is not None and math.isfinite(value)]
    most = max(finite, default=0.0) or 1.0
    height = TOP + ROW * len(bars) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>',
        _legend(any(pair[0] is not None for pair in bars.values())),
    ]
    for index, (label, (before, now)) in enumerate(bars.items()):
        parts.append(_row(TOP + ROW * index, label, before, now, most))
    return embedded("".join([*parts, "</svg>"]), alt)


def curves_plot(curves: Mapping[str, Sequence[float]], alt: str) -> str:
    """Markdown with one line per label over its values in order, such as a loss by epoch. Values that are no number are
    left out."""
    shown = {label: [value for value in values if math.isfinite(value)] for label, values in curves.items()}
    every = [value for values in shown.values() for value in values]
    low, high = min(every, default=0.0), max(every, default=1.0)
    spread = (high - low) or 1.0
    longest = max((len(values) for values in shown.values()), default=1)
    height, wide, tall = 200, WIDTH - LEFT // 2 - RIGHT, 200 - TOP - 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT // 2 - 8}" y="{TOP + 8}" text-anchor="end" fill="{QUIET}">{figure(high)}</text>',
        f'<text x="{LEFT // 2 - 8}" y="{TOP + tall}" text-anchor="end" fill="{QUIET}">{figure(low)}</text>',
    ]
    for (label, values), colour in zip(shown.items(), cycle((NOW, INK, BEFORE)), strict=False):
        points = [
            (LEFT // 2 + wide * at / max(longest - 1, 1), TOP + tall * (high - value) / spread)
            for at, value in enumerate(values)
        ]
        if not points:
            continue
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
        x, y = points[-1]
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(label)}</text>')
    return embedded("".join([*parts, "</svg>"]), alt)


def embedded(svg: str, alt: str) -> str:
    """An SVG as Markdown that Dagster's UI shows in place."""
    return f"![{alt}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _legend(compared: bool) -> str:
    shown = [(NOW, "this release")] + ([(BEFORE, "its baseline")] if compared else [])
    return "".join(
        f'<rect x="{LEFT + 110 * at}" y="8" width="10" height="10" fill="{colour}"/>'
        f'<text x="{LEFT + 14 + 110 * at}" y="17" fill="{QUIET}">{words}</text>'
        for at, (colour, words) in enumerate(shown)
    )


def _row(y: int, label: str, before: float | None, now: float | None, most: float) -> str:
    middle = y + ROW // 2 + 4
    short = label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
    numbers = " ← ".join(figure(value) for value in (now, before) if value is not None)
    return (
        f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end" fill="{INK}">{escape(short)}</text>'
        + _bar(y + 3, ROW - 6, before, most, BEFORE)
        + _bar(y + 7, ROW - 14, now, most, NOW)
        + f'<text x="{WIDTH - RIGHT + 8}" y="{middle}" fill="{QUIET}">{numbers}</text>'
    )


def _bar(y: int, height: int, value: float | None, most: float, colour: str) -> str:
    if value is None or not math.isfinite(value):
        return ""
    width = (WIDTH - LEFT - RIGHT) * (abs(value) / most)
    return f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def figure(value: float) -> str:
    """A number as a person reads it in a plot."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
