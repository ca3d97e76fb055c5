"""Commands that only look: status, releases, history, lookup, queries, gates."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

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
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.errors import ConfigError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from kumo_assets.releases.operations.status import StatusReport


def status(
    query: Annotated[str | None, typer.Argument(help="Default: every query.")] = None,
    pointer: PointerUri = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Look at old releases' objects too, however many there are.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start here at 3 a.m.: what is active, its age, holds, what waits, the last block, the next command to type.

    Old blocks, stray and damaged objects are looked for in the last two weeks of a QUERY, and in two days of each without
    one. Without QUERY: exit status 1 when any query's state could not be read, 2 when none could be configured.
    """
    from kumo_assets.releases.operations.status import report
    from kumo_assets.releases.recent import EVERYTHING, ONE

    if query is not None or pointer is not None:
        one = report(context_of(query, pointer), reach=EVERYTHING if everything else ONE)
        show(as_json, asdict(one), lambda: print(_page(one)))
        return
    reports: list[StatusReport] = []
    documents: list[dict[str, Any]] = []
    failed: list[Exception] = []
    for name, found in _reports(definitions(), everything):
        if not isinstance(found, Exception):
            reports.append(found)
            documents.append(asdict(found))
            continue
        failed.append(found)
        message = str(found) if isinstance(found, KumoAssetsError) else f"{type(found).__name__}: {found}"
        documents.append({"query": name, "error": message})
        note(f"{name}: {message}")
    show(as_json, documents, lambda: print("\n".join(map(_page, reports))))
    end_of_several(len(documents), failed)


def _reports(index: DefinitionsIndex, everything: bool) -> Iterator[tuple[str, StatusReport | Exception]]:
    """Each query's report, or why there is none, in order: several at once, through clients that all share."""
    from kumo_assets.config.environment import Environment
    from kumo_assets.releases.cache import ReleaseCache
    from kumo_assets.releases.operations.status import report
    from kumo_assets.releases.outbox import MOST_KEPT, Kept, Outbox
    from kumo_assets.releases.recent import EVERYTHING, SEVERAL
    from kumo_assets.resources.s3_objects import ObjectStore

    names, cache = index.names(), ReleaseCache()
    kept: list[Kept] | None = None
    moment: datetime | None = None
    s3: S3Client | None = None
    dynamodb: DynamoDBClient | None = None
    with suppress(Exception):  # then each report says by itself what is wrong
        s3, dynamodb = cache.sessions.s3(), cache.sessions.dynamodb()
        environment = Environment.from_variables()
        objects = ObjectStore(environment.bucket, s3)
        moment = objects.now(f"{environment.name}/")
        found = Outbox(objects, environment.name).kept()
        kept = found if len(found) < MOST_KEPT else None

    def one(name: str) -> StatusReport | Exception:
        try:
            with closing(context_of(name, index=index, cache=cache, s3=s3, dynamodb=dynamodb)) as ctx:
                return report(ctx, moment, EVERYTHING if everything else SEVERAL, kept)
        except Exception as error:  # noqa: BLE001 - whatever one query's error is, it never hides another's state
            return error

    with ThreadPoolExecutor(max_workers=16) as pool:
        yield from zip(names, pool.map(one, names), strict=True)


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
    if found.outcome is not None:
        lines.append(("outcome", outcome_line(found.outcome, found.query)))
    if found.samples:
        lines.append(
            (
                "samples",
                f"of {len(found.samples)} of these releases a sample of what they served is kept, for outcomes to come",
            )
        )
    lines += [("unsent", f"{item['kind']} since {item['since']}: {item['title']}") for item in found.unsent]
    lines += [("pointer", found.pointer), ("next", found.next_command)]
    return "\n".join([found.query, *(f"  {name:9} {words}" for name, words in lines)])


def outcome_line(found: dict[str, Any], query: str) -> str:
    """The newest outcome in a line: the figure with its error, and its rivals'."""
    error = "" if found["standard_error"] is None else f" \u00b1 {found['standard_error']:.2g}"
    names = {"fallback": "fallback", "before": "release before"}
    rivals = "".join(f", {names.get(kind, kind)} {value:.4g}" for kind, value in found["rivals"].items())
    value = "-" if found["value"] is None else f"{found['value']:.4g}"
    figure = str(found["figure"]).replace("_", " ")
    return (
        f"{found['release_id']} after {found['age_days']} d: {figure} {value}{error}{rivals}"
        f"   (kumo-assets outcomes {query})"
    )


def releases(
    query: Query,
    limit: Annotated[int, typer.Option(help="Newest releases to show; 0 shows all.", min=0)] = 50,
    as_json: Json = False,
) -> None:
    """The newest releases: partition, state, counts, verdicts. Newest first."""
    from kumo_assets.releases.operations.status import releases as listed

    found = listed(context_of(query), limit or None)
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
    partition: Annotated[
        str | None, typer.Option(help="Day, YYYY-MM-DD. Default: the newest that has a release.")
    ] = None,
    release: Annotated[str | None, typer.Option(help="Default: the newest release of the day.")] = None,
    as_json: Json = False,
) -> None:
    """Each verdict of a day's release explained: value, limits, baseline, and what to look at."""
    from kumo_assets.gates.explain import explain, explained
    from kumo_assets.releases.context import ReleaseContext

    ctx: ReleaseContext = context_of(query)
    partition = partition or max((item.partition for item in ctx.store.listings()), default="any day")
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
