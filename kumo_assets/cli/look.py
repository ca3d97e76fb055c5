"""Commands that only look: status, releases, history, lookup, queries, gates."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from kumo_assets.cli.output import Json, Query, definition_of, folder, note, show, table, world_of
from kumo_assets.errors import ConfigError
from kumo_assets.spec.load import query_names


def status(
    query: Annotated[str | None, typer.Argument(help="Default: every query.")] = None, as_json: Json = False
) -> None:
    """Start here at 3 a.m.: what is active, its age, holds, what waits, the last block, the next command to type."""
    from kumo_serving.errors import KumoAssetsError

    from kumo_assets.releases.operations.status import StatusReport, report

    names = [query] if query is not None else query_names(folder())
    found: list[StatusReport] = []
    documents: list[dict[str, Any]] = []
    for name in names:
        try:
            found.append(report(world_of(name)))
            documents.append(asdict(found[-1]))
        except KumoAssetsError as error:
            if query is not None:
                raise
            # One query's trouble never hides another's state.
            documents.append({"query": name, "error": str(error)})
            note(f"{name}: {error}")
    show(as_json, documents[0] if query is not None else documents, lambda: print("\n".join(map(_page, found))))


def _page(found: Any) -> str:
    lines = [
        (
            "active",
            f"{found.release_id or 'nothing'}"
            + (f"  (partition {found.partition}, generation {found.generation})" if found.release_id else ""),
        ),
        ("table", found.table or "-"),
        (
            "age",
            "-"
            if found.active_age_hours is None
            else f"{found.active_age_hours:.1f} h since promotion"
            + (f"   STALE: limit {found.stale_after_hours:g} h" if found.stale else ""),
        ),
        (
            "hold",
            "none"
            if found.hold is None
            else f"HELD by {found.hold['by']} at {found.hold['at']}: {found.hold['reason']}",
        ),
    ]
    if found.hand_edited:
        lines.append(("edited", "the pointer was edited by hand; that counts as a hold"))
    if found.forced is not None:
        lines.append(("forced", f"by {found.forced['by']}: {found.forced['reason']}"))
    lines.append(
        ("waiting", f"{found.candidate}: {found.candidate_words}" if found.candidate else found.candidate_words)
    )
    if found.last_block is not None:
        lines.append(
            (
                "blocked",
                f"{found.last_block['release_id']} by {found.last_block['gate']}: {found.last_block['message']}",
            )
        )
    if found.building:
        lines.append(("building", ", ".join(found.building)))
    lines += [("pointer", found.pointer), ("next", found.next_command)]
    return "\n".join([found.query, *(f"  {name:9} {words}" for name, words in lines)])


def releases(query: Query, as_json: Json = False) -> None:
    """Every release: partition, state, counts, verdicts. Newest first."""
    from kumo_assets.releases.operations.status import releases as listed

    found = listed(world_of(query))
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
    query: Query, limit: Annotated[int, typer.Option(help="Newest entries to show.")] = 50, as_json: Json = False
) -> None:
    """The ledger: who moved what, when, why. Newest first."""
    entries = world_of(query).ledger.history(limit)
    show(
        as_json,
        [entry.model_dump(mode="json") for entry in entries],
        lambda: table(
            ["at", "action", "from", "to", "generation", "by", "reason"],
            [
                [
                    entry.at,
                    entry.action,
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
    as_json: Json = False,
) -> None:
    """What an online service would answer, through the reader it would use, and from which release."""
    from kumo_serving import Answer, FallbackAnswer, Reader, open_pointer

    world = world_of(query)
    uri = world.pointers.uri
    reader = Reader(query, pointer=open_pointer(uri), budget_seconds=5.0)
    try:
        answer = reader.get(entity)
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
        rows = document["predictions"]
        if isinstance(rows, list):
            for rank, (item, score) in enumerate(rows, 1):
                print(f"{rank}  {item:<24} {score:g}")
        else:
            print(rows)
        print(f"release {answer.release_id}, partition {answer.partition}")

    show(as_json, document, words)


def queries(as_json: Json = False) -> None:
    """What is configured."""
    found: list[dict[str, Any]] = []
    for name in query_names(folder()):
        try:
            spec = definition_of(name).spec
        except ConfigError as error:
            note(str(error))
            found.append({"name": name, "error": str(error)})
            continue
        found.append(
            {
                "name": name,
                "job": f"{name}_daily",
                "description": spec.description,
                "task": spec.kumo.task,
                "entity": spec.entity,
                "time_zone": spec.schedule.time_zone,
                "schedule_at": spec.schedule.at,
                "schedule_owner": spec.schedule.owner,
                "start": spec.schedule.start.isoformat(),
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


def gates(
    query: Query,
    partition: Annotated[str, typer.Option(help="Day, YYYY-MM-DD.")],
    release: Annotated[str | None, typer.Option(help="Default: the newest release of the day.")] = None,
    as_json: Json = False,
) -> None:
    """Each verdict of a day's release explained: value, limits, baseline, and what to look at."""
    from kumo_assets.gates.explain import explain
    from kumo_assets.releases.operations.outside import Outside

    world: Outside = world_of(query)
    listed = [
        item.release_id
        for item in world.store.listings()
        if item.release_id.startswith(partition.replace("-", "") + "-")
    ]
    opened = {name: world.store.opened(name) for name in listed}
    known = sorted((found.opened_at, name) for name, found in opened.items() if found is not None)
    chosen = release or (known[-1][1] if known else None)
    record = opened.get(chosen) if chosen else None
    if record is None:
        raise ConfigError(
            "explain the gates of",
            to=f"{query}, {partition}",
            found=f"no release{' ' + release if release else ''} of this partition",
            next=f"kumo-assets releases {query}",
        )
    required = world.store.required_verdicts(record)
    document = {
        "query": query,
        "partition": partition,
        "release_id": record.release_id,
        "verdicts": [
            verdict.model_dump(mode="json")
            if verdict is not None
            else {
                "gate": gate,
                "passed": False,
                "mode": "block",
                "severity": "missing",
                "message": "no verdict: the check was not reached, was skipped, or raised",
            }
            for gate, verdict in sorted(required.items())
        ],
    }
    show(as_json, document, lambda: print(explain(record, required)))
