"""Commands that only look: status, releases, history, lookup, queries, gates."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from kumo_serving.errors import KumoAssetsError

from kumo_assets.cli.output import (
    Json,
    MaybeQuery,
    PointerUri,
    Query,
    context_of,
    definitions,
    end_of_several,
    note,
    show,
    table,
)
from kumo_assets.errors import ConfigError


def status(
    query: Annotated[str | None, typer.Argument(help="Default: every query.")] = None,
    pointer: PointerUri = None,
    as_json: Json = False,
) -> None:
    """Start here at 3 a.m.: what is active, its age, holds, what waits, the last block, the next command to type.

    Without QUERY: exit status 1 when any query's state could not be read, 2 when none could be configured.
    """
    from kumo_assets.releases.cache import ReleaseCache
    from kumo_assets.releases.operations.status import StatusReport, report

    if query is not None or pointer is not None:
        one = report(context_of(query, pointer))
        show(as_json, asdict(one), lambda: print(_page(one)))
        return
    index, cache = definitions(), ReleaseCache()
    reports: list[StatusReport] = []
    documents: list[dict[str, Any]] = []
    failed: list[Exception] = []
    for name in index.names():
        try:
            reports.append(report(context_of(name, index=index, cache=cache)))
            documents.append(asdict(reports[-1]))
        except Exception as error:  # noqa: BLE001 - whatever one query's error is, it never hides another's state
            failed.append(error)
            message = str(error) if isinstance(error, KumoAssetsError) else f"{type(error).__name__}: {error}"
            documents.append({"query": name, "error": message})
            note(f"{name}: {message}")
    show(as_json, documents, lambda: print("\n".join(map(_page, reports))))
    end_of_several(len(documents), failed)


def _page(found: Any) -> str:
    """The page for 3 a.m.: what is wrong first, then what is live, what stops the next, and what to type."""
    lines = [("PROBLEM", words) for words in found.problems]
    generation = f"  (partition {found.partition or 'unknown'}, generation {found.generation})" if found.table else ""
    lines.append(
        ("active", f"{found.release_id or ('a table of no release' if found.table else 'nothing')}{generation}")
    )
    lines.append(("table", found.table or "-"))
    if found.active_age_hours is not None:
        by = f" by {found.promoted['by']}" if found.promoted else ""
        limit = "" if found.stale_after_hours is None else f"; limit {found.stale_after_hours:g} h"
        lines.append(("age", f"promoted {found.active_age_hours:.1f} h ago{by}{limit}{'  STALE' * found.stale}"))
    if not found.holds:
        lines.append(("hold", "none"))
    for held in found.holds:
        lines.append(("hold", f"HELD by {held['by'] or 'somebody'} at {held['at']}: {held['reason']}"))
        if held["to_release"]:
            lines.append(
                ("", f"rolled back from {held['from_release'] or 'an unreadable pointer'} to {held['to_release']}")
            )
    if found.forced is not None:
        lines.append(("forced", f"by {found.forced['by']}: {found.forced['reason']}"))
    waits = f" (sealed {found.candidate_waits_hours:.1f} h ago)" if found.candidate_waits_hours is not None else ""
    lines.append(
        ("waiting", f"{found.candidate}{waits}: {found.candidate_words}" if found.candidate else found.candidate_words)
    )
    if found.staged is not None:
        where = f"(partition {found.staged['partition'] or 'unknown'}), waits for a person's approval"
        lines.append(("staged", f"{found.staged['release_id'] or found.staged['table']}  {where}"))
    block = found.last_block
    if block is not None:
        past = "; a newer release got past it" if block["resolved"] else ""
        lines.append(("blocked", f"{block['release_id']} by {block['gate']}: {block['message']}{past}"))
    if found.building:
        lines.append(("building", ", ".join(found.building)))
    if found.previous:
        lines.append(("previous", ", ".join(item for item in found.previous[:5] if item)))
    lines += [("unsent", f"{item['kind']} since {item['since']}: {item['title']}") for item in found.unsent]
    lines += [("pointer", found.pointer), ("next", found.next_command)]
    return "\n".join([found.query, *(f"  {name:9} {words}" for name, words in lines)])


def releases(query: Query, as_json: Json = False) -> None:
    """Every release: partition, state, counts, verdicts. Newest first."""
    from kumo_assets.releases.operations.status import releases as listed

    found = listed(context_of(query))
    show(
        as_json,
        [asdict(item) for item in found],
        lambda: table(
            ["release", "partition", "state", "items", "sealed", "verdicts", ""],
            [
                [
                    item.release_id,
                    item.partition,
                    item.state,
                    f"{item.counts.get('imported', 0):,}" if item.counts else "-",
                    item.sealed_at or "-",
                    " ".join(f"{gate}:{severity}" for gate, severity in item.verdicts.items()),
                    item.words,
                ]
                for item in found
            ],
        ),
    )


def history(
    query: MaybeQuery = None,
    limit: Annotated[int, typer.Option(help="Newest entries to show.")] = 50,
    pointer: PointerUri = None,
    as_json: Json = False,
) -> None:
    """The ledger, and moves that it does not have yet: who moved what, when, why. Newest first."""
    from kumo_assets.releases.moves import history as known_history
    from kumo_assets.releases.moves import read_or_raw
    from kumo_assets.releases.operations.reconcile import ledger_problems

    ctx = context_of(query, pointer)
    found = read_or_raw(ctx)
    for problem in ledger_problems(ctx, found):
        note(problem)
    entries = known_history(ctx, found, limit)
    show(
        as_json,
        [{**entry.model_dump(mode="json"), "action": entry.shown_action} for entry in entries],
        lambda: table(
            ["at", "action", "from", "to", "generation", "by", "reason"],
            [
                [
                    entry.at,
                    entry.shown_action,
                    entry.from_release or "-",
                    entry.to_release or "-",
                    str(entry.generation or "-"),
                    entry.by,
                    entry.reason,
                ]
                for entry in entries
            ],
        ),
    )


def lookup(
    query: Query,
    entity: Annotated[str, typer.Argument(help="Key of the entity, e.g. a household's number.")],
    release: Annotated[
        str | None, typer.Option(help="'staged', or the id of the active, the staged or a previous release.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What an online service would answer, through the reader it would use, and from which release."""
    from kumo_serving import Answer, FallbackAnswer, Reader, open_pointer

    ctx = context_of(query)
    uri = ctx.pointers.uri
    reader = Reader(query, pointer=open_pointer(uri), budget_seconds=5.0)
    try:
        answer = reader.get(entity, release=release)
    finally:
        reader.close()
    found = isinstance(answer, Answer | FallbackAnswer)
    predictions = answer.predictions if isinstance(answer, Answer | FallbackAnswer) else None
    document = {
        "query": query,
        "entity": entity,
        "found": found,
        "fallback": isinstance(answer, FallbackAnswer),
        "predictions": [[item[0], item[1]] for item in predictions]
        if isinstance(predictions, list | tuple)
        else predictions,
        "release_id": answer.release_id,
        "partition": answer.partition,
        "table": answer.source.table,
        "generation": answer.source.generation,
        "pointer": uri,
        "pointer_age_seconds": round(answer.pointer_age_seconds, 3),
    }

    def words() -> None:
        if not found:
            print(f"No predictions for {entity} in {answer.release_id} (partition {answer.partition})")
            return
        if document["fallback"]:
            print("No table answered. What everybody is shown meanwhile, the release's fallback list:")
        rows = document["predictions"]
        if isinstance(rows, list):
            for rank, (item, score) in enumerate(rows, 1):
                print(f"{rank}  {item:<24} {score:g}")
        else:
            print(rows)
        age = answer.pointer_age_seconds
        # Old only when the store cannot be read: then it is the last known good pointer that answers.
        old = f", from a pointer last read {age:,.0f} s ago" if age > 60 else ""
        print(f"release {answer.release_id}, partition {answer.partition}{old}")

    show(as_json, document, words)


def queries(as_json: Json = False) -> None:
    """What is configured. Exit status 1 when any definition could not be read, 2 when none could."""
    index = definitions()
    found: list[dict[str, Any]] = []
    failed: list[KumoAssetsError] = []
    for name in index.names():
        try:
            spec = index.query(name).spec
        except ConfigError as error:
            failed.append(error)
            note(str(error))
            found.append({"name": name, "error": str(error)})
            continue
        found.append(
            {
                "name": name,
                "job": f"{name}_daily",
                "description": spec.description,
                "task": spec.task,
                "entity": spec.entity,
                "time_zone": spec.schedule.time_zone,
                "schedule_at": spec.schedule.at,
                "schedule_owner": spec.schedule.owner,
                "start": spec.schedule.start.isoformat(),
                "end": spec.schedule.end.isoformat() if spec.schedule.end else None,
                "pointer": spec.pointer.store,
                "owners": spec.owners,
            }
        )
    show(
        as_json,
        found,
        lambda: table(
            ["query", "task", "entity", "schedule", "clock", "pointer", "owners"],
            [
                [
                    item["name"],
                    item.get("task", "BROKEN"),
                    item.get("entity", "-"),
                    f"{item.get('schedule_at', '-')} {item.get('time_zone', '')}",
                    item.get("schedule_owner", "-"),
                    item.get("pointer", "-"),
                    ", ".join(item.get("owners", [])),
                ]
                for item in found
            ],
        ),
    )
    end_of_several(len(found), failed)


def gates(
    query: Query,
    partition: Annotated[str, typer.Option(help="Day, YYYY-MM-DD.")],
    release: Annotated[str | None, typer.Option(help="Default: the newest release of the day.")] = None,
    as_json: Json = False,
) -> None:
    """Each verdict of a day's release explained: value, limits, baseline, and what to look at."""
    from kumo_assets.gates.explain import explain, explained
    from kumo_assets.releases.context import ReleaseContext

    ctx: ReleaseContext = context_of(query)
    of_day = [opened for _, opened in ctx.store.of_day(partition)]
    record = next((opened for opened in of_day if release in (None, opened.release_id)), None)
    if record is None:
        raise ConfigError(
            "explain the gates of",
            to=f"{query}, {partition}",
            found=f"no release{' ' + release if release else ''} of this partition",
            next=f"kumo-assets releases {query}",
        )
    required = ctx.store.required_verdicts(record)
    document = {
        "query": query,
        "partition": partition,
        "release_id": record.release_id,
        "verdicts": explained(required),
    }
    show(as_json, document, lambda: print(explain(record, required)))
