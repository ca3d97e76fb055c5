"""A comparison of two releases for a person: a page of text for the command line, Markdown with plots for Dagster's UI.
Nothing is compared here."""

from __future__ import annotations

from collections.abc import Sequence

from kumo_assets.gates.plots import bars_plot
from kumo_assets.gates.release_diff import ClassShare, Diff, Example

MOST_IN_A_LIST = 5


def page(diff: Diff) -> str:
    """What changed, a line a fact; a fact that nothing says is left out."""
    lines = [f"{diff.query}: {diff.before.release_id} -> {diff.after.release_id}", *_facts(diff)]
    for title, classes in (("gained most", diff.classes_gained), ("lost most", diff.classes_lost)):
        if classes:
            lines += ["", f"  classes that {title}, as shares of list entries"]
            lines += [f"    {_label(one):<40} {_percent(one.before):>8} -> {_percent(one.after)}" for one in classes]
    if diff.scores:
        lines += ["", "  scores", f"    {'up to':>12}  {'before':>8}  {'after':>8}"]
        for one in diff.scores:
            upto = "above" if one.upto is None else f"{one.upto:.4g}"
            lines.append(f"    {upto:>12}  {one.before:>8.1%}  {one.after:>8.1%}")
    if diff.examples:
        lines += ["", "  entities, before and after"]
        for example in diff.examples:
            lines += _side_by_side(example)
    return "\n".join(lines)


def markdown(diff: Diff) -> str:
    """The same for Dagster's UI, with plots of scores and classes."""
    parts = [f"**{diff.before.release_id} → {diff.after.release_id}**", *(fact.strip() for fact in _facts(diff))]
    if diff.scores:
        labels = ["above" if one.upto is None else f"up to {one.upto:.4g}" for one in diff.scores]
        bars = {label: (one.before, one.after) for label, one in zip(labels, diff.scores, strict=True)}
        parts += ["Scores: share of each bin", bars_plot(bars, "scores before and after")]
    classes = [*diff.classes_gained[:MOST_IN_A_LIST], *diff.classes_lost[:MOST_IN_A_LIST]]
    if classes:
        shares = {_label(one): (one.before, one.after or 0.0) for one in classes}
        parts += ["Classes that gained and lost most", bars_plot(shares, "classes before and after")]
    return "\n\n".join(parts)


def _facts(diff: Diff) -> list[str]:
    before, after = diff.before, diff.after
    sampled = f", one entity in {diff.sample}" if diff.sample > 1 else ""
    facts = [
        ("partition", f"{before.partition} -> {after.partition}"),
        ("counted from", f"{diff.counted}{sampled}{': ' + diff.why if diff.why else ''}"),
        ("entities", f"{before.entities:,} -> {after.entities:,}{_entities(diff)}"),
        ("model", f"{before.model_id or 'unknown'} -> {after.model_id or 'unknown'}"),
        ("gates", "; ".join(_gates(diff)) or "the same verdicts"),
    ]
    shares = (
        ("unchanged", diff.unchanged, "of lists and numbers are the same"),
        ("same classes", diff.same_classes, "of lists have the same classes, in any order"),
        ("changed", diff.changed, "of list entries are not in the new lists"),
    )
    facts += [(name, f"{value:.1%} {words}") for name, value, words in shares if value is not None]
    if diff.moved is not None:
        facts.append(("moved", f"a class that stays in a list moves by {diff.moved:.2f} places on average"))
    if diff.change is not None and diff.absolute_change is not None:
        facts.append(("change", f"{diff.change:+.4g} on average, {diff.absolute_change:.4g} without its sign"))
    return [f"  {name:<13} {words}" for name, words in facts]


def _entities(diff: Diff) -> str:
    told = [
        f"{share:.1%} {word}" for share, word in ((diff.lost, "lost"), (diff.gained, "gained")) if share is not None
    ]
    return f" ({', '.join(told)})" if told else ""


def _gates(diff: Diff) -> list[str]:
    was, now = diff.before.gates, diff.after.gates
    return [
        f"{gate} {was.get(gate, 'not asked')} -> {now.get(gate, 'not asked')}"
        for gate in sorted(was.keys() | now.keys())
        if was.get(gate) != now.get(gate)
    ]


def _label(one: ClassShare) -> str:
    return f"{one.label} {one.name}" if one.name else one.label


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.2%}"


def _side_by_side(example: Example) -> list[str]:
    return [
        f"    {example.entity}",
        f"      before  {_list(example.before)}",
        f"      after   {_list(example.after)}",
    ]


def _list(entries: Sequence[Sequence[str | float]]) -> str:
    if not entries:
        return "none"
    shown = [str(entry[0]) if len(entry) > 1 else f"{entry[0]:g}" for entry in entries[:MOST_IN_A_LIST]]
    return ", ".join(shown) + (f" and {len(entries) - MOST_IN_A_LIST} more" if len(entries) > MOST_IN_A_LIST else "")
