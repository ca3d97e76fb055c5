"""No try ever builds a second release beside a live or a finished one: by table, and by a machine of random tries."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kumo_airflow.following import (
    AUTO_RETRY_SECONDS,
    AUTO_RETRY_TAG,
    CLEAR_TAG,
    SCHEDULE_TAG,
    WILL_RETRY_TAG,
    Run,
    clearing,
    decide_start,
    launch_tags,
    next_move,
    trigger_key,
    winner,
)


def run(name: str = "r1", status: str = "SUCCESS", clear: int = 0, created: float = 1.0, **tags: str) -> Run:
    return Run(name, status, "q_daily", name, {CLEAR_TAG: str(clear), **tags}, created, ended=created + 1)


@pytest.mark.parametrize(
    ("mine", "blocked", "clear", "what"),
    [
        pytest.param([], False, 0, "launch", id="first-try"),
        pytest.param([run(status="STARTED")], False, 0, "adopt", id="live"),
        pytest.param([run(status="QUEUED")], False, 0, "adopt", id="queued"),
        pytest.param([run(status="SUCCESS")], False, 0, "adopt", id="retry-after-success"),
        pytest.param([run(status="FAILURE")], False, 0, "reexecute", id="retry-after-failure"),
        pytest.param([run(status="CANCELED")], False, 0, "reexecute", id="retry-after-kill"),
        pytest.param([run(status="FAILURE")], True, 0, "adopt", id="retry-after-block"),
        pytest.param([run(status="SUCCESS")], False, 1, "launch", id="clear-after-success"),
        pytest.param([run(status="FAILURE")], False, 1, "reexecute", id="clear-after-failure"),
        pytest.param([run(status="FAILURE")], True, 1, "launch", id="clear-after-block"),
        pytest.param([run(status="STARTED")], False, 1, "terminate", id="clear-while-live"),
        pytest.param([run(status="CANCELING")], False, 1, "settle", id="clear-while-canceling"),
        pytest.param([run(status="SUCCESS"), run("r2", "FAILURE", 1, 2.0)], False, 1, "reexecute", id="newest-counts"),
        pytest.param([run(status="FAILURE", **{AUTO_RETRY_TAG: "r2"})], False, 0, "adopt", id="dagster-retries"),
    ],
)
def test_start_by_table(mine: list[Run], blocked: bool, clear: int, what: str) -> None:
    found = decide_start(mine, [], clear=clear, scheduled=True, blocked=lambda _: blocked)
    assert found.what == what


def test_first_try_adopts_a_live_run_of_the_day_whoever_started_it() -> None:
    other = run("theirs", "STARTED")
    found = decide_start([], [other], clear=0, scheduled=False, blocked=lambda _: False)
    assert (found.what, found.run) == ("adopt", other)


def test_scheduled_run_adopts_what_dagsters_own_schedule_built_and_a_manual_one_builds_anew() -> None:
    built = run("theirs", "SUCCESS", **{SCHEDULE_TAG: "q_daily_schedule"})
    by_clock = decide_start([], [built], clear=0, scheduled=True, blocked=lambda _: False)
    assert (by_clock.what, "both clocks" in by_clock.why) == ("adopt", True)
    assert decide_start([], [built], clear=1, scheduled=True, blocked=lambda _: False).what == "launch"
    assert decide_start([], [built], clear=0, scheduled=False, blocked=lambda _: False).what == "launch"
    by_hand = replace(built, tags={})
    assert decide_start([], [by_hand], clear=0, scheduled=True, blocked=lambda _: False).what == "launch"


def test_a_runs_end_deadline_and_dagsters_retry() -> None:
    assert next_move(run(), now=0).outcome == "success"
    assert next_move(run(status="CANCELED"), now=0).outcome == "canceled"
    assert next_move(run(status="FAILURE"), now=0).outcome == "failure"
    assert next_move(run(status="STARTED"), now=5, deadline_at=6).what == "wait"
    assert next_move(run(status="STARTED"), now=6, deadline_at=6).what == "overdue"
    assert next_move(run(status="A_STATUS_OF_TOMORROW"), now=0).what == "wait"
    followed = next_move(run(status="FAILURE", **{AUTO_RETRY_TAG: "r2", WILL_RETRY_TAG: "true"}), now=9)
    assert (followed.what, followed.run_id) == ("follow", "r2")
    coming = run(status="FAILURE", **{WILL_RETRY_TAG: "true"})
    assert next_move(coming, now=10).what == "wait"
    assert next_move(coming, now=10 + AUTO_RETRY_SECONDS).what == "ended"
    assert next_move(run(status="FAILURE", **{WILL_RETRY_TAG: "false"}), now=2).what == "ended"


def test_of_two_runs_launched_for_one_try_all_pick_the_first() -> None:
    first, second = run("b", "STARTED", created=1.0), run("a", "QUEUED", created=2.0)
    assert winner(first, [second, first]) == winner(second, [first, second]) == first
    earlier = run("c", "STARTED", clear=1, created=0.5)
    assert winner(first, [first, earlier]) == first  # another clear's run is no twin
    assert winner(second, [run("b", "SUCCESS", created=1.0), second]) == second  # nor is one that has ended


def test_clears_are_told_from_retries_as_airflow_counts_them() -> None:
    # (max_tries, retries): Airflow starts at retries, and sets try_number + retries when it clears.
    assert clearing(2, 2) == 0
    assert clearing(1 + 2, 2) == 1
    assert clearing(3 + 2, 2) == 3
    assert clearing(0, 0) == 0
    assert clearing(1, 2) == 0  # retries were raised in the DAG file meanwhile


def test_tags_are_dagsters_own_and_who_asked() -> None:
    tags = launch_tags(
        "2017-11-28",
        {"dagster/partition": "2017-11-28", "dagster/partition_set": "s"},
        key=trigger_key("d", "r", "t", -1),
        clear=0,
        dag_id="d",
        run_type="scheduled",
    )
    ours = {key for key in tags if key.startswith(("kumo_airflow/", "kumo_assets/"))}
    assert {key: tags[key] for key in tags.keys() - ours} == {
        "dagster/partition": "2017-11-28",
        "dagster/partition_set": "s",
    }
    assert tags["kumo_airflow/trigger"] == "d/r/t"
    assert trigger_key("d", "r", "t", 3) == "d/r/t/3"


class Tries(RuleBasedStateMachine):
    """A task instance of Airflow over its whole life, against a Dagster of a few lines: tries end at any moment,
    people clear and kill, runs end as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []
        self.blocked: set[str] = set()
        self.clear, self.tries = 0, 0
        self.numbers = itertools.count(1)
        self.releases_by_clear: dict[int, set[str]] = {}
        self.task = "idle"

    def put(self, status: str, parent: Run | None = None) -> Run:
        number = next(self.numbers)
        root = parent.root_run_id if parent else f"r{number}"
        made = Run(f"r{number}", status, "q_daily", root, {CLEAR_TAG: str(self.clear)}, float(number))
        self.runs.append(made)
        return made

    def change(self, old: Run, status: str) -> None:
        self.runs[self.runs.index(old)] = replace(old, status=status, ended=old.created + 0.5)

    @precondition(lambda self: self.task != "done")
    @rule()
    def a_try_begins(self) -> None:
        """A first try, a retry, or a try after a worker died: Airflow does not say which."""
        found = decide_start(
            self.runs, [], clear=self.clear, scheduled=True, blocked=lambda one: one.run_id in self.blocked
        )
        if found.what in ("settle", "terminate"):
            if found.what == "terminate" and found.run is not None:
                self.change(found.run, "CANCELING")
            return
        before = [one for one in self.runs if one.live]
        ended_well = [one for one in self.runs if one.status == "SUCCESS" and one.tags[CLEAR_TAG] == str(self.clear)]
        if found.what == "launch":
            assert not before, "launched beside a live run"
            assert not ended_well, "launched again what this clear had built"
            held = self.put("QUEUED")
        elif found.what == "reexecute":
            assert found.run is not None
            assert not before, "re-executed beside a live run"
            assert found.run.run_id not in self.blocked, "asked a gate twice"
            held = self.put("QUEUED", parent=found.run)
        else:
            assert found.run is not None
            held = found.run
        self.releases_by_clear.setdefault(self.clear, set()).add(held.root_run_id)
        self.task = "running"

    @precondition(lambda self: any(one.live for one in self.runs))
    @rule(status=st.sampled_from(["STARTED", "SUCCESS", "FAILURE", "BLOCKED", "CANCELING", "CANCELED"]))
    def dagster_goes_on(self, status: str) -> None:
        live = next(one for one in self.runs if one.live)
        if status == "BLOCKED":
            self.blocked.add(live.run_id)
            status = "FAILURE"
        self.change(live, status)

    @precondition(lambda self: self.task == "running" and not any(one.live for one in self.runs))
    @rule()
    def airflow_hears_of_the_end(self) -> None:
        self.task = "done" if self.runs[-1].status == "SUCCESS" else "failed"

    @rule()
    def somebody_clears(self) -> None:
        self.clear += 1
        self.task = "idle"

    @invariant()
    def at_most_one_run_lives(self) -> None:
        assert sum(one.live for one in self.runs) <= 1

    @invariant()
    def one_clear_builds_one_release(self) -> None:
        assert all(len(releases) == 1 for releases in self.releases_by_clear.values())


Tries.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestTries = Tries.TestCase
