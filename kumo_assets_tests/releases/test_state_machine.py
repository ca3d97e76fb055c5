"""The rules under any order of events: a Hypothesis state machine over the real operations, against a plain model of what
each rule allows. In memory for thousands of examples (`make soak`), on MiniStack for some; crashes at any mutating call.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from kumo_sandbox.testing.releases import Shop, put_raw, shop
from kumo_serving.pointer import Pointer, parse_pointer, partition_of_release

from kumo_assets.documents import IMPORT_GATE
from kumo_assets.errors import GateBlocked, LostRace, Refused, ReleaseError
from kumo_assets.pointers.document import MOST_UNRECORDED
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import holds_on, put_back
from kumo_assets.releases.holds import written_holds
from kumo_assets.releases.ledger import is_move
from kumo_assets.releases.moves import carried_in
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import next_promotion, promote
from kumo_assets.releases.operations.reconcile import reconcile
from kumo_assets.releases.operations.retire import retire
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.stage import keep_staged, stage
from kumo_assets.releases.operations.status import report
from kumo_assets.resources.dynamodb.tables import list_tables
from kumo_assets_tests.support.memory_aws import Killed, answer
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop

# How long the in-memory machine's retirement waits for the slowest reader; no clock of a test moves so far elsewhere.
GRACE_SECONDS = 60
PEOPLE = ("ann", "bob")
SOAK = bool(os.environ.get("KUMO_SOAK"))
QUALITY = ("good", "good", "good", "blocked", "missing", "import failed", "short", "half")
STRANGE = ("note", "entry", "beside", "folder", "table")
ODD = "20171131-0a0b0c0d"
Order = tuple[str, str, str]


class Machine(RuleBasedStateMachine):
    """What people, the sensor, chance and time do to one query's releases."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.quality: dict[str, str] = {}
        self.was_active: set[str] = set()  # by our own moves
        self.went_live_by_force: set[str] = set()
        self.touched_by_hand: set[str] = set()
        self.documents: list[bytes] = []
        self.generation = 0
        self.killed = False
        self.strange: set[str] = set()  # keys and tables that somebody else made under our names
        self.readers: list[tuple[Pointer, datetime]] = []  # what each reader last saw, and when by S3's clock

    def make(self) -> Shop:
        raise AssertionError("a subclass says where")

    def before_call(self, act: Any) -> None:
        """Have `act()` called before each mutating call from now on; None for nothing."""
        raise AssertionError("a subclass says how")

    @initialize()
    def start(self) -> None:
        self.shop = self.make()

    # ---- the model's eyes: straight at the store

    @property
    def ctx(self) -> ReleaseContext:
        return self.shop.ctx

    def order(self, release: str) -> Order | None:
        return self.ctx.store.order_of(release)

    def gone(self, release: str) -> bool:
        return self.ctx.store.retirement(release) is not None

    def rejected(self, release: str) -> bool:
        """True with an empty mark too: nobody can say what it was."""
        return self.ctx.objects.exists(self.ctx.names.release_prefix(release) + "rejected.json")

    def stopped(self) -> bool:
        """True when automatic promotion must stand still."""
        found = self.ctx.pointers.read()
        return found is not None and bool(holds_on(self.ctx, found))

    def holders(self) -> set[str]:
        """Whose holds the document shows."""
        found = self.ctx.pointers.read()
        return {hold.by for hold in written_holds(found.pointer)} if found is not None else set()

    def full(self) -> bool:
        """True when the pointer has no room for one more move that the ledger does not take."""
        return len(carried_in(self.shop.query, self.ctx.pointers.read())) >= MOST_UNRECORDED

    def served(self) -> str:
        found = self.ctx.pointers.read()
        return found.pointer.served_release_id if found is not None else ""

    def staged(self) -> str:
        found = self.ctx.pointers.read()
        return found.pointer.staged.table if found is not None and found.pointer.staged is not None else ""

    def may_go_live(self, release: str) -> bool:
        """The rules on a release by itself."""
        return (
            self.quality[release] == "good"
            and self.order(release) is not None
            and not self.rejected(release)
            and not self.gone(release)
        )

    def newer(self, release: str, than: str) -> bool:
        """Rule 5's order. Before the first promotion everything is newer; unsealed is never. Of one that a person put
        live unsealed, the partition is known, and no more."""
        order = self.order(release)
        return order is not None and (not than or order > (self.order(than) or (partition_of_release(than), "", than)))

    # ---- events

    def moved(self, before: str, how: str) -> None:
        """What any of our own moves must keep; called after each operation, done, refused or killed."""
        found = self.ctx.pointers.read()
        if found is None or found.hand_edited or put_back(self.ctx, found) is not None:
            return
        raw = self.ctx.pointers.peek()
        assert raw is not None
        if raw.data in self.documents:
            return
        assert found.pointer.generation == self.generation + 1, f"{how} jumped over a generation"
        self.generation = found.pointer.generation
        self.documents.append(raw.data)
        after = self.served()
        if after:
            self.was_active.add(after)
        if after != before:
            assert how in ("tick", "promote", "force", "rollback"), f"{how} changed what is served"
            assert not self.gone(after)
            if how == "force":
                self.went_live_by_force.add(after)

    def attempt(self, how: str, act: Any, kill_at: int | None = None, lifts: str = "") -> Any:
        """Do it, perhaps killed before its `kill_at`th mutating call; then look at what came of it. `lifts` is whose hold
        may end."""
        before, stopped, holders = self.served(), self.stopped(), self.holders()
        done: Any = None
        calls = 0

        def count() -> None:
            nonlocal calls
            calls += 1
            if kill_at is not None and calls > kill_at:
                raise Killed

        self.before_call(count)
        try:
            done = act()
        except (Refused, GateBlocked, ReleaseError) as error:
            done = error
        except Killed:
            self.killed = True
        finally:
            self.before_call(None)
        after = self.served()
        assert holders - {lifts} <= self.holders(), f"{how} took somebody's hold away"
        if how in ("tick", "promote", "force") and after != before:
            assert not stopped, f"{how} while held, edited or put back"
            assert self.newer(after, before), f"{how} went backwards"
        self.moved(before, how)
        return done

    @rule(day=st.integers(1, 6), quality=st.sampled_from(QUALITY), adopt=st.booleans())
    def build(self, day: int, quality: str, adopt: bool) -> None:
        self.count += 1
        adopted = {}
        partition = f"2017-11-{day:02d}"
        if adopt:
            home = self.ctx.store.newest_with(partition, "postprocessed")
            opened = self.ctx.store.opened(home) if home else None
            if opened is not None:
                adopted = {asset: self.ctx.store.home(opened, asset) for asset in ("predictions", "postprocessed")}
        release = self.shop.build(
            partition,
            failed={"blocked": "volume", "import failed": IMPORT_GATE}.get(quality),
            missing="volume" if quality == "missing" else None,
            whole=quality != "short",
            seal=quality != "half",
            adopted=adopted,
            root=f"{self.count:08x}" + "0" * 24,
        )
        self.quality[release] = quality
        source = adopted.get("predictions")
        if source is not None and quality in ("good", "blocked", "missing") and self.quality[source] == "damaged":
            self.quality[release] = "damaged"
        elif source is not None and quality in ("good", "blocked", "missing") and self.quality[source] != "good":
            # Its own verdicts on the predictions do not exist: those of the release they come from count.
            verdict = self.ctx.store.verdict(source, "volume")
            self.quality[release] = "good" if verdict is not None and verdict.passed else "blocked"
        elif source is not None and quality in ("blocked", "missing"):
            self.quality[release] = "good"

    @precondition(lambda self: any(quality == "missing" for quality in self.quality.values()))
    @rule(passed=st.booleans())
    def late_verdict(self, passed: bool) -> None:
        release = next(release for release, quality in self.quality.items() if quality == "missing")
        opened = self.ctx.store.opened(release)
        assert opened is not None
        if opened.adopted:
            self.quality[release] = "blocked"
            return
        self.shop.verdict(opened, "volume", passed=passed)
        self.quality[release] = "good" if passed else "blocked"
        for other, quality in self.quality.items():
            found = self.ctx.store.opened(other)
            if found is not None and found.adopted.get("predictions") == release and quality in ("good", "blocked"):
                self.quality[other] = "good" if passed else "blocked"

    @precondition(lambda self: self.served())
    @rule(pick=st.none() | st.integers(0, 50), kill_at=st.none() | st.integers(0, 4))
    def stage(self, pick: int | None, kill_at: int | None) -> None:
        """The sensor of a query that only a person promotes, or a person who names a release."""
        found = self.ctx.pointers.read()
        assert found is not None
        edited, before = found.hand_edited or put_back(self.ctx, found) is not None, found.pointer
        release = sorted(self.quality)[pick % len(self.quality)] if pick is not None and self.quality else None

        def act() -> Any:
            with suppress(ReleaseError):
                reconcile(self.ctx)
            return keep_staged(self.ctx, found, by="sensor") if release is None else stage(self.ctx, release, by="bob")

        done = self.attempt("stage", act, kill_at)
        after = self.ctx.pointers.read()
        assert after is not None
        if after.version == found.version:
            return
        assert not edited, "staged over a hand"
        staged = after.pointer.staged
        assert after.pointer.replace(staged=before.staged, generation=before.generation) == before
        if staged is not None:
            assert self.may_go_live(staged.release_id)
            assert self.newer(staged.release_id, self.served())
            assert release in (None, staged.release_id) or isinstance(done, Exception)

    @rule(kill_at=st.none() | st.integers(0, 4))
    def tick(self, kill_at: int | None) -> None:
        """The sensor: whatever should go live does, and nothing else."""
        before = self.served()
        waits = self.staged()
        eligible = [release for release in self.quality if self.may_go_live(release) and self.newer(release, before)]
        wanted = max(eligible, key=lambda release: self.order(release) or ("", "", "")) if eligible else None
        free = not self.stopped()

        full = self.full()
        self.attempt("tick", self.one_tick, kill_at)
        if kill_at is None and free and not full:
            assert self.served() == (wanted or before)
        assert self.staged() == (waits if self.served() == before else ""), "a promotion clears what is staged"

    def one_tick(self) -> Any:
        with suppress(ReleaseError):  # a ledger that is out stops no promotion
            reconcile(self.ctx)
        release, decision = next_promotion(self.ctx)
        return promote(self.ctx, release, by="sensor") if decision.outcome == "promote" else decision

    @precondition(lambda self: self.quality)
    @rule(pick=st.integers(0, 50), forced=st.booleans(), kill_at=st.none() | st.integers(0, 4))
    def promote_by_name(self, pick: int, forced: bool, kill_at: int | None) -> None:
        release = sorted(self.quality)[pick % len(self.quality)]
        before = self.served()
        good = self.may_go_live(release)
        self.attempt(
            "force" if forced else "promote",
            lambda: promote(self.ctx, release, by="bob", forced="I insist" if forced else None),
            kill_at,
        )
        if self.served() == release != before:
            assert good or forced
            assert self.quality[release] not in ("import failed", "short", "half"), "rule 6 was overridden"
            assert self.quality[release] != "damaged", "what nobody can read was overridden"
            assert not self.rejected(release)

    @rule(pick=st.none() | st.integers(0, 50), kill_at=st.none() | st.integers(0, 4), by=st.sampled_from(PEOPLE))
    def roll_back(self, pick: int | None, kill_at: int | None, by: str) -> None:
        before = self.served()
        to = sorted(self.quality)[pick % len(self.quality)] if pick is not None and self.quality else None
        # A hand can make anything active: only what also passed its gates is known good.
        good = {
            release
            for release in self.was_active | self.touched_by_hand
            if release != before and release not in self.went_live_by_force and self.may_go_live(release)
        }
        known_good = good & self.was_active
        # Of a table of no sealed release nobody can tell the age: then every known good one counts as earlier.
        left = self.order(before)
        earlier = [release for release in known_good if left is None or (self.order(release) or left) < left]
        held = self.stopped()
        self.attempt("rollback", lambda: rollback(self.ctx, to=to, by=by, reason="odd"), kill_at, lifts=by)
        after = self.served()
        found = self.ctx.pointers.read()
        if found is not None and found.pointer.hold is not None and found.pointer.hold.to_release == after:
            assert not (after and self.rejected(after))
        if after != before:
            assert found is not None
            assert found.pointer.staged is None
            assert after in good
            assert found.pointer.hold is not None
            assert found.pointer.hold.to_release == after
            assert not before or self.rejected(before)
            assert not before or before not in [item.release_id for item in found.pointer.previous]
            if to is not None:
                assert after == to
        elif kill_at is None and to is None and not held and before:
            assert not earlier, "there was a known good release to go back to"

    @rule(kill_at=st.none() | st.integers(0, 3), by=st.sampled_from(PEOPLE))
    def place_hold(self, kill_at: int | None, by: str) -> None:
        done = self.attempt("hold", lambda: hold(self.ctx, by=by, reason="looking"), kill_at)
        if kill_at is None and not isinstance(done, Exception):
            assert by in self.holders()

    @rule(kill_at=st.none() | st.integers(0, 3), by=st.sampled_from(PEOPLE), pick=st.none() | st.integers(0, 3))
    def lift_hold(self, kill_at: int | None, by: str, pick: int | None) -> None:
        """One's own, or with `pick` whosever."""
        found = self.ctx.pointers.read()
        authors = [hold.by for hold in holds_on(self.ctx, found)] if found is not None else []
        of = authors[pick % len(authors)] if pick is not None and authors else None

        def act() -> Any:
            preview = preview_unhold(self.ctx, by=by, of=of)
            unhold(self.ctx, preview, by=by)
            return preview

        lifts = of or (by if by in authors else authors[0] if authors else "")
        preview = self.attempt("unhold", act, kill_at, lifts=lifts)
        if kill_at is None and not isinstance(preview, Exception):
            assert self.holders() == set(authors) - {lifts}, "the others stay, a hand's too"
            assert self.stopped() == bool(self.holders())
            free = next_promotion(self.ctx)[1].outcome == "promote"
            assert free == (preview.next_release is not None) or self.full()

    @precondition(lambda self: self.served())
    @rule(pick=st.integers(0, 50))
    def edit_by_hand(self, pick: int) -> None:
        """A person changes the table to another that exists."""
        found = self.ctx.pointers.read()
        assert found is not None
        whole = [release for release in sorted(self.quality) if not self.gone(release)]
        release = whole[pick % len(whole)] if whole else self.served()
        new, old = self.ctx.names.dynamodb_table(release), found.pointer.table
        if new != old:
            self.shop.edit(lambda text: text.replace(f'"table": "{old}"', f'"table": "{new}"', 1))
            self.touched_by_hand.add(release)
            assert self.served() == release

    @precondition(lambda self: self.staged())
    @rule()
    def take_the_staged_release_out_by_hand(self) -> None:
        """A person deletes the field: the staging is lost, and nothing is held by it."""
        raw = self.ctx.pointers.peek()
        found = self.ctx.pointers.read()
        assert raw is not None
        assert found is not None
        document = json.loads(raw.data)
        del document["staged"]
        put_raw(self.ctx, json.dumps(document).encode())
        after = self.ctx.pointers.read()
        assert after is not None
        assert (after.hand_edited, self.staged()) == (found.hand_edited, "")

    @precondition(lambda self: self.served())
    @rule(previous=st.booleans())
    def edit_to_an_impossible_date(self, previous: bool) -> None:
        """A person names a release of a day that there is not, as what is served or as what was."""
        found = self.ctx.pointers.read()
        raw = self.ctx.pointers.peek()
        assert found is not None
        assert raw is not None
        table = f"{self.ctx.names.environment}-{self.shop.query}-{ODD}"
        if table not in self.strange:
            self.shop.table(table, ODD, tagged=False)
            self.strange.add(table)
        document = json.loads(raw.data)
        if previous:
            document["previous"] = [{"release_id": ODD, "partition": "2017-11-31", "table": table}]
        elif document["table"] != table:
            document["table"] = table
        put_raw(self.ctx, json.dumps(document).encode())
        assert previous or self.served() == ""

    @rule(kind=st.sampled_from(STRANGE), pick=st.integers(0, 50))
    def somebody_leaves_something(self, kind: str, pick: int) -> None:
        """A note, a copy of a table or of an export, a stranger's folder: under our names, and none of ours."""
        names = self.ctx.names
        release = sorted(self.quality)[pick % len(self.quality)] if self.quality else "20171101-0a0b0c0d"
        if kind == "table":
            table = f"{names.dynamodb_table(release)}-{('restored', 'a2')[pick % 2]}"
            if table not in self.strange:
                self.shop.table(table, release, tagged=False)
                self.strange.add(table)
            return
        key = {
            "note": f"{names.ledger_prefix}note.txt",
            "entry": f"{names.ledger_prefix}20171201T00000{pick % 10}.000000Z-0a0b0c0d.json",
            "beside": f"{names.release_prefix(release)}export-copy/part-0.csv.gz",
            "folder": f"{names.releases_prefix}{ODD}/opened.json",
        }[kind]
        with suppress(ReleaseError):  # the ledger may take nothing just now
            self.ctx.objects.put(key, b"remember the milk")
            self.strange.add(key)

    @precondition(lambda self: any(quality in ("good", "blocked") for quality in self.quality.values()))
    @rule(pick=st.integers(0, 50), mark=st.booleans())
    def somebody_damages_a_document(self, pick: int, mark: bool) -> None:
        whole = [release for release, quality in sorted(self.quality.items()) if quality in ("good", "blocked")]
        release = whole[pick % len(whole)]
        name = "rejected.json" if mark else "verdicts/volume.json"
        opened = self.ctx.store.opened(release)
        assert opened is not None
        if not mark and opened.adopted:
            return  # it goes by the verdict of the release that it adopted from
        self.ctx.objects.put(self.ctx.names.release_prefix(release) + name, b"")
        if mark:
            return
        self.quality[release] = "damaged"
        for other, quality in self.quality.items():
            found = self.ctx.store.opened(other)
            if found is not None and found.adopted.get("predictions") == release and quality in ("good", "blocked"):
                self.quality[other] = "damaged"

    @precondition(lambda self: len(self.documents) > 1)
    @rule(pick=st.integers(1, 3))
    def put_an_old_document_back(self, pick: int) -> None:
        # A person is slower than the sensor: within its interval after a crash, the entry would be lost with the document.
        # So would be what the ledger does not take meanwhile: then there is a hole (test_unrecorded).
        try:
            reconcile(self.ctx)
        except ReleaseError:
            return
        old = self.documents[max(0, len(self.documents) - 1 - pick)]
        pointer = parse_pointer(old, self.shop.query)
        if not self.gone(pointer.served_release_id):
            put_raw(self.ctx, old)
            self.touched_by_hand |= {pointer.served_release_id} - {""}

    @rule(kill_at=st.none() | st.integers(0, 12), down=st.booleans())
    def retire_old(self, kill_at: int | None, down: bool) -> None:
        def drop(names: list[str]) -> None:
            if down:
                raise ReleaseError("drop", found="Snowflake is down")

        before = self.served()
        self.attempt("retire", lambda: retire(self.ctx, drop, by="daily"), kill_at)
        assert self.served() == before

    @rule()
    def look(self) -> None:
        """Status never fails, whatever was left behind."""
        found = report(self.ctx)
        assert found.release_id == (self.served() or None)
        assert found.next_command

    # ---- readers

    @precondition(lambda self: self.served())
    @rule(reader=st.integers(0, 2))
    def a_reader_refreshes(self, reader: int) -> None:
        """One of three readers polls; the others go on with what they saw, however long ago that was."""
        found = self.ctx.pointers.read()
        assert found is not None
        seen = (found.pointer, self.now())
        self.readers = [*self.readers[:reader], seen, *self.readers[reader + 1 :]]

    @precondition(lambda self: self.readers)
    @rule(pick=st.integers(0, 2))
    def a_stale_reader_looks_up(self, pick: int) -> None:
        """Within the grace its table is there. After it, one refresh leads to one that is: never an empty answer."""
        pointer, seen = self.readers[pick % len(self.readers)]
        tables = self.tables()
        if pointer.table not in tables:
            assert (self.now() - seen).total_seconds() >= GRACE_SECONDS, "retired under a reader's hands"
            fresh = self.ctx.pointers.read()
            assert fresh is not None
            assert fresh.pointer.table in tables

    @precondition(lambda self: self.strange)
    @rule()
    def what_is_not_ours_is_where_it_was(self) -> None:
        there = self.tables() | {item.key for item in self.ctx.objects.list(self.ctx.names.root)}
        assert self.strange <= there

    def tables(self) -> set[str]:
        return set(list_tables(self.ctx.dynamodb, f"{self.ctx.names.environment}-{self.shop.query}-"))

    def now(self) -> datetime:
        """S3's clock."""
        return self.ctx.now()

    # ---- always

    @invariant()
    def what_is_served_exists(self) -> None:
        found = self.ctx.pointers.read() if hasattr(self, "shop") else None
        if found is None:
            return
        tables = self.tables()
        assert found.pointer.table in tables
        if not found.hand_edited and put_back(self.ctx, found) is None:
            for item in found.pointer.previous:
                assert item.table in tables, "readers would be sent to a deleted table"
            assert found.pointer.staged is None or found.pointer.staged.table in tables, "staged, and deleted"

    @invariant()
    def a_read_only_look_moves_nothing(self) -> None:
        if hasattr(self, "shop") and self.documents:
            found = self.ctx.pointers.read()
            assert found is not None

    def teardown(self) -> None:
        if not hasattr(self, "shop"):
            return
        reconcile(self.ctx)
        generations = [entry.generation for entry in self.ctx.ledger.moves()]
        assert generations == list(range(1, self.generation + 1)), "the history has a gap or a fork"
        assert all(is_move(entry) for entry in self.ctx.ledger.moves())
        # Whatever was left half done is finished by doing it again, without anybody's help.
        if self.served() and not self.stopped():
            self.attempt("retire", lambda: retire(self.ctx, lambda names: None, by="daily"))
        self.what_is_not_ours_is_where_it_was()
        self.ctx.close()


class InMemory(Machine):
    """In a bucket that keeps versions, and whose ledger can be out."""

    def make(self) -> Shop:
        self.mine: MemoryShop = memory_shop(
            retention={"keep": 1, "min_age_hours": 0, "grace_minutes": GRACE_SECONDS / 60}
        )
        self.mine.memory.versioned = True
        self.mine.memory.before = self.before
        self.act: Any = None
        self.crossing: Any = None
        self.out = False
        return self.mine

    @rule(seconds=st.sampled_from([5, 30, 200]))
    def time_passes(self, seconds: int) -> None:
        self.mine.memory.clock.tick(seconds)

    @rule(out=st.booleans())
    def the_ledger_takes_nothing_for_a_while(self, out: bool) -> None:
        self.out = out

    @precondition(lambda self: self.served() and not self.full())
    @rule(which=st.sampled_from(["tick", "hold", "unhold", "rollback", "stage"]))
    def a_hand_puts_the_pointer_back_while_another_move_is_decided(self, which: str) -> None:
        """Another process holds, and a person puts back what there was, right before the pointer is written."""
        raw = self.ctx.pointers.peek()
        assert raw is not None
        served, holders = self.served(), self.holders()
        crossed: list[str] = []

        def cross() -> None:
            self.crossing = None
            hold(self.ctx, by="carl", reason="wait")
            self.moved(served, "hold")
            if self.out:
                # Lost with its document. Put back later, it would show a second move of its generation: a fork.
                self.documents.pop()
            put_raw(self.ctx, raw.data)
            crossed.append(which)

        acts = {
            "tick": self.one_tick,
            "hold": lambda: hold(self.ctx, by="ann", reason="looking"),
            "unhold": lambda: unhold(self.ctx, preview_unhold(self.ctx, by="ann"), by="ann"),
            "rollback": lambda: rollback(self.ctx, by="ann", reason="odd"),
            "stage": lambda: stage(self.ctx, None, by="ann"),
        }
        self.crossing = cross
        done = self.attempt(which, acts[which])
        self.crossing = None
        if crossed:
            assert isinstance(done, LostRace)
            assert self.served() == served
            assert self.holders() == {*holders, "a hand edit"}
            self.touched_by_hand.add(served)

    def before(self, operation: str) -> None:
        if self.crossing is not None and operation.endswith("/active.json"):
            self.crossing()
        if self.act is not None:
            self.act()
        if self.out and operation.startswith("PutObject") and "/ledger/" in operation:
            raise answer("AccessDenied", 403, "PutObject")

    def before_call(self, act: Any) -> None:
        self.act = act

    def teardown(self) -> None:
        self.out = False
        super().teardown()


MUTATING = ("PutObject", "DeleteObjects", "UpdateTable", "DeleteTable")


class OnMiniStack(Machine):
    def make(self) -> Shop:
        made = shop(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": GRACE_SECONDS / 60})
        self.act: Any = None
        for service in (made.ctx.objects.client, made.ctx.dynamodb):
            service.meta.events.register("before-send", self.sent)  # type: ignore[attr-defined]
        return made

    def sent(self, request: Any, event_name: str, **_: Any) -> None:
        if self.act is not None and event_name.rpartition(".")[2] in MUTATING:
            self.act()

    def before_call(self, act: Any) -> None:
        self.act = act


CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def run(machine: type[Machine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=CHECKS,
            derandomize=not SOAK,
            print_blob=True,
        ),
    )


@pytest.mark.slow
def test_the_rules_hold_in_any_order_of_events() -> None:
    run(InMemory, 2000 if SOAK else 200, 50)


def test_the_rules_hold_on_the_sandboxs_aws_too(aws: str) -> None:
    run(OnMiniStack, 40 if SOAK else 4, 30 if SOAK else 12)
