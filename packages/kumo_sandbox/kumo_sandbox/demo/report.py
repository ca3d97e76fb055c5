"""What the demo has to say at its end: an entity's list with the log's memory of each item, and what to type next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from kumo_sandbox.demo.evaluate import days_after
from kumo_sandbox.demo.history import items_before_and_after
from kumo_sandbox.demo.show import ShownItem
from kumo_sandbox.grocery import EventLog, catalogue


def shown_items(log: EventLog, predictions: Sequence[Sequence[Any]], entity: str, day: date) -> list[ShownItem]:
    """Each predicted [item, score] with its name, how often the entity took it before, and whether it did after."""
    names = catalogue(log)
    history = items_before_and_after(log, entity, day, days_after(log, day))
    rows = []
    for item, score in predictions:
        product = names.get(str(item))
        before, after = history.get(str(item), (0, False))
        label = f"{product.name} {product.size}".strip() if product else str(item)
        rows.append(ShownItem(label, product.department if product else "", float(score), before, after))
    return rows


def next_lines(query: str, project: Path | None, blocked: str | None) -> list[tuple[str, str]]:
    """Commands and what they show. `project` is that of a user's own log; `blocked` the partition a gate stopped."""
    lines = [
        ("source .venv/bin/activate", "kumo-assets and kumo-sandbox on your path"),
        ('eval "$(kumo-sandbox env)"', "point this shell at the sandbox"),
    ]
    if project is not None:
        lines.append((f"cd {project}", "the Dagster project written for your log; yours to keep and change"))
    lines.append((f"kumo-assets status {query}", "what is live, how old, what waits, what to type next"))
    if blocked is None:
        lines.append((f"kumo-assets outcomes {query}", "how good each release was, once its days had passed"))
    if blocked is not None:
        lines.append((f"kumo-assets gates {query} --partition {blocked}", "each gate's value, limits and baseline"))
    else:
        lines.append((f'kumo-assets rollback {query} --reason "a try"', "one release back, and hold"))
    if project is None:
        lines.append(("make dev", "Dagster on port 3000, a small web shop on port 3001, both on these releases"))
        if blocked is None:
            lines.append(("make demo ARGS='--break scores'", "a bad release, and what stops it"))
    return lines
