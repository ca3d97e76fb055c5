"""A line plot with error bars as SVG: a figure of a query's releases over its last partitions, rivals beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 240, 56, 12, 28, 34
COLOURS = ("#2f6fde", "#9aa3af", "#d97706")
INK, LINE = "#6b7280", "#e5e7eb"


@dataclass(frozen=True)
class Point:
    """A figure of one partition (its place on the axis) with its standard error; `error` is None without one."""

    at: int
    value: float
    error: float | None = None


def line_plot(series: Mapping[str, Sequence[Point]], labels: Sequence[str], title: str) -> str:
    """SVG: one line per series (at most three), `labels` along the axis; bars are one standard error to each side."""
    points = [point for line in series.values() for point in line if math.isfinite(point.value)]
    low = min((point.value - (point.error or 0) for point in points), default=0.0)
    high = max((point.value + (point.error or 0) for point in points), default=1.0)
    low = min(low, 0.0) if low < high / 2 else low
    span = (high - low) or 1.0
    step = (WIDTH - LEFT - RIGHT) / max(len(labels) - 1, 1)

    def x(at: int) -> float:
        return LEFT + at * step if len(labels) > 1 else (LEFT + WIDTH - RIGHT) / 2

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / span * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="11"><title>{escape(title)}</title>'
        '<rect width="100%" height="100%" fill="white"/>'
    ]
    for part in range(5):
        value = low + span * part / 4
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{LINE}"/>'
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="{INK}">{value:.3g}</text>'
        )
    for at in sorted({0, len(labels) // 2, len(labels) - 1} & set(range(len(labels)))):
        anchor = "start" if at == 0 and len(labels) > 1 else "end" if at == len(labels) - 1 > 0 else "middle"
        parts.append(
            f'<text x="{x(at):.1f}" y="{HEIGHT - 14}" text-anchor="{anchor}" fill="{INK}">{escape(labels[at])}</text>'
        )
    for place, ((name, line), colour) in enumerate(zip(series.items(), COLOURS, strict=False)):
        parts.append(
            f'<rect x="{LEFT + 150 * place}" y="8" width="10" height="10" fill="{colour}"/>'
            f'<text x="{LEFT + 14 + 150 * place}" y="17" fill="{INK}">{escape(name)}</text>'
        )
        shown = [point for point in line if math.isfinite(point.value)]
        path = " ".join(f"{x(point.at):.1f},{y(point.value):.1f}" for point in shown)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for point in shown:
            parts.append(f'<circle cx="{x(point.at):.1f}" cy="{y(point.value):.1f}" r="2.5" fill="{colour}"/>')
            if point.error:
                ends = y(point.value - point.error), y(point.value + point.error)
                parts.append(
                    f'<line x1="{x(point.at):.1f}" x2="{x(point.at):.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" '
                    f'stroke="{colour}"/>'
                )
    return "".join([*parts, "</svg>"])
