"""Which release a run builds. Rule 2: a re-run continues its release; a run that starts mid-chain opens a new one that
records which artefacts and verdicts of which release it adopts.

Dagster's contexts are described by protocols: Dagster is not imported here.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import CHAIN, ReleaseId
from kumo_assets.config.names import ROOT_RUN_TAG as ROOT_RUN_TAG
from kumo_assets.config.registration import AskedGate
from kumo_assets.documents import Artefact, GateRecord, Opened, utc_now
from kumo_assets.errors import ReleaseError
from kumo_assets.pointers.limits import MOST_AUTHOR_BYTES, shortened
from kumo_assets.releases.store import ReleaseStore

# The release whose artefacts a run that starts mid-chain adopts; without it, the newest of the partition that has them.
ADOPTS_TAG = "kumo_assets/adopts"


class Run(Protocol):
    """What is read of Dagster's record of a run."""

    @property
    def run_id(self) -> str: ...
    @property
    def root_run_id(self) -> str | None: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


class RunContext(Protocol):
    """An execution context of Dagster's: of an asset, a check or an op."""

    @property
    def run(self) -> Run: ...


class PartitionContext(RunContext, Protocol):
    """The same, in a run of one partition."""

    @property
    def partition_key(self) -> str: ...


@dataclass(frozen=True)
class RunIdentity:
    """The run, the root of its re-executions, the partition it works on, and who asked for it. `adopts` is the release
    whose artefacts a run that starts mid-chain adopts, where its tags name one."""

    run_id: str
    root_run_id: str
    partition: str
    by: str
    adopts: str | None = None

    @property
    def release_id(self) -> str:
        return str(ReleaseId.of(self.partition, self.root_run_id))


def author_of(context: RunContext) -> str:
    """Who asked for a run: the person, schedule, sensor or command its tags name."""
    tags = context.run.tags
    for tag, form in (
        ("kumo_assets/by", "{}"),
        ("user", "{}"),
        ("dagster/user", "{}"),
        ("dagster/schedule_name", "schedule {}"),
        ("dagster/sensor_name", "sensor {}"),
        ("dagster/backfill", "backfill {}"),
    ):
        if tags.get(tag):
            return form.format(tags[tag])
    return "dagster"


def asked_by_nobody(context: RunContext) -> bool:
    """True for a run that no person asked for: a schedule, a sensor or an automation condition of Dagster's did."""
    clocks = ("dagster/schedule_name", "dagster/sensor_name", "dagster/from_automation_condition")
    return any(context.run.tags.get(tag) for tag in clocks)


def person() -> str:
    """The user of this process, `user@host`, as the ledger names them; cut where a host has a very long name. One without a
    name is `uid-1234@host`, as a container has under a UID of its own (`runAsUser`, OpenShift)."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = f"uid-{os.getuid()}"
    return shortened(f"{user}@{socket.gethostname()}", MOST_AUTHOR_BYTES)


def root_run_of(run: Run) -> str:
    """The id of the run that a run re-executes, or continues by its tag; its own when it does neither."""
    return run.tags.get(ROOT_RUN_TAG) or run.root_run_id or run.run_id


def run_of(context: PartitionContext) -> RunIdentity:
    """The identity of a run from an asset's or a check's execution context, which must have one partition."""
    return RunIdentity(
        run_id=context.run.run_id,
        root_run_id=root_run_of(context.run),
        partition=context.partition_key,
        by=author_of(context),
        adopts=context.run.tags.get(ADOPTS_TAG),
    )


def open_release(
    store: ReleaseStore,
    run: RunIdentity,
    definition: QueryDefinition,
    asset: str,
    *,
    gates: Mapping[str, AskedGate],
    code_version: str,
    judge: Callable[[Opened], None] = lambda opened: None,
) -> Opened:
    """This run's release: found open, or opened now, before anything is launched.

    A run that starts after the chain's first asset adopts what is upstream: the artefacts, verdicts and gates of the
    release that the run names, else of the newest of the partition that has the asset before it. Raises ReleaseError
    when none has it. `judge` is called with the release before it is continued, or before it is opened, and may refuse it.
    """
    found = store.opened(run.release_id)
    if found is not None:
        if found.root_run_id != run.root_run_id:
            return store.open(found.model_copy(update={"root_run_id": run.root_run_id}))
        _must_not_be_going(store, found, definition, asset)
        judge(found)
        return found
    adopted: dict[str, str] = {}
    records = {
        name: GateRecord.model_validate(record) for name, record in gates.items() if record["mode"] in ("block", "warn")
    }
    position = CHAIN.index(asset)
    if position > 0:
        before = CHAIN[position - 1]
        source_id = run.adopts or store.newest_with(run.partition, before)
        source = store.opened(source_id) if source_id else None
        if source is None or source.partition != run.partition:
            raise ReleaseError(
                f"materialise {asset} of {definition.name} for",
                to=run.partition,
                found=f"no release of this partition has {before}",
                next=f"materialise {before} first, or the whole job {definition.name}_daily",
            )
        adopted = {name: store.home(source, name) for name in CHAIN[:position]}
        _must_not_be_rejected(store, source, adopted, definition, asset)
        # The gates of an adopted artefact were set when it was built; today's definition cannot remove them.
        records = {name: record for name, record in records.items() if record.asset not in adopted}
        for name in CHAIN[:position]:
            home = store.opened(adopted[name])
            if home is not None:
                records |= {gate: record for gate, record in home.gates.items() if record.asset == name}
    wanted = Opened(
        query=definition.name,
        environment=store.names.environment,
        partition=run.partition,
        release_id=run.release_id,
        run_id=run.run_id,
        root_run_id=run.root_run_id,
        opened_at=utc_now(),
        code_version=code_version,
        by=run.by,
        adopted=adopted,
        gates=records,
    )
    judge(wanted)
    opened = store.open(wanted)
    # Retirement marks a release, then looks for references to it. Here the reference is written first, then the mark is
    # looked for, so that one of the two always sees the other.
    _must_not_be_going(store, opened, definition, asset)
    return opened


def _must_not_be_going(store: ReleaseStore, opened: Opened, definition: QueryDefinition, asset: str) -> None:
    """ReleaseError when this release, or one whose artefacts it adopted, is being retired or has been."""
    for release in sorted({opened.release_id, *opened.adopted.values()}):
        if store.retirement(release) is not None:
            whose = "it" if release == opened.release_id else f"{release}, whose artefacts it would adopt,"
            raise ReleaseError(
                f"materialise {asset} of {definition.name} for",
                to=f"{opened.partition}, release {opened.release_id}",
                found=f"{whose} is being retired",
                next=f"start a new run of the whole job {definition.name}_daily for this partition",
            )


def _must_not_be_rejected(
    store: ReleaseStore, source: Opened, adopted: Mapping[str, str], definition: QueryDefinition, asset: str
) -> None:
    """ReleaseError when this release would serve what was rejected, under a new id. Kumo's table alone may be used again,
    because to post-process it in another way is a repair."""
    if "postprocessed" not in adopted:
        return
    for release in (source.release_id, *adopted.values()):
        if store.rejection(release) is not None:
            raise ReleaseError(
                f"materialise {asset} of {definition.name} for",
                to=source.partition,
                found=f"{release}, whose post-processed table it would serve again, was rejected",
                next=f"start at postprocessed, or with the whole job {definition.name}_daily",
            )


def release_under_check(store: ReleaseStore, run: RunIdentity, asset: str) -> tuple[Opened, Artefact]:
    """What a gate of `asset` judges in this run: the artefact that the run's own release has or adopted. In a run of checks
    alone, and before the release is opened: that of the release that the run adopts from, else of the newest.

    Raises ReleaseError when there is nothing to judge.
    """
    opened = store.opened(run.release_id)
    if opened is None:
        source = run.adopts or store.newest_with(run.partition, asset)
        opened = store.opened(source) if source else None
    if opened is not None and asset in opened.adopted:
        opened = store.opened(store.home(opened, asset)) or opened
    artefact = store.artefact(opened.release_id, asset) if opened is not None else None
    if opened is None or artefact is None:
        raise ReleaseError(
            f"judge {asset} of {store.names.query} for",
            to=run.partition,
            found="no release of this partition has it",
            next=f"materialise {asset} first",
        )
    return opened, artefact
