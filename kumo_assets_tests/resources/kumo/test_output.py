"""The columns of each task, and every way in which a table can contradict a DONE job."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kumo_assets.config.tasks import OUTPUT_COLUMNS
from kumo_assets.resources.kumo.errors import KumoOutputUnproved
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, PollPolicy
from kumo_assets.resources.kumo.output import (
    OutputProof,
    prove_output,
    prove_when_written,
    recognise_output,
)
from kumo_assets.resources.sql import in_upper_case

BEGUN = datetime(2017, 12, 1, 2, tzinfo=UTC)
WRITTEN = BEGUN + timedelta(minutes=5)
ANCHOR = datetime(2017, 12, 1, tzinfo=UTC)
JOB = KumoJob(
    "bp-job-1", JobStatus.DONE, "DONE", entities=100, created_at=BEGUN, ended_at=BEGUN + timedelta(minutes=10)
)
COUNTS: dict[str, Any] = {
    "ROW_COUNT": 500,
    "ENTITY_COUNT": 100,
    "NULL_COUNT": 0,
    "JOB_FROM": WRITTEN,
    "JOB_TO": WRITTEN,
    "ANCHOR_FROM": ANCHOR,
    "ANCHOR_TO": ANCHOR,
}
RANKING = dict.fromkeys(("ENTITY", "CLASS", "SCORE", "JOB_TIMESTAMP", "ANCHOR_TIMESTAMP"), "TEXT")


def prove(job: KumoJob = JOB, columns: dict[str, str] = RANKING, task: str = "ranking", **changes: Any) -> Any:
    anchor, agreement = changes.pop("anchor", ANCHOR), changes.pop("agreement", "exact")
    return prove_output(lambda sql: COUNTS | changes, columns, '"T"', job, task, anchor, agreement)


def test_a_table_that_bears_its_job_out_is_counted() -> None:
    proof = prove()
    assert (proof.rows, proof.entities, proof.job_from, proof.anchor_to) == (500, 100, WRITTEN, ANCHOR)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"columns": {}}, "no such table"),
        ({"columns": {"ENTITY": "TEXT", "SCORE": "FLOAT"}}, "a ranking query writes ENTITY, CLASS, SCORE"),
        ({"columns": {name: "TEXT" for name in RANKING if name != "JOB_TIMESTAMP"}}, "no JOB_TIMESTAMP"),
        ({"ROW_COUNT": 0, "ENTITY_COUNT": 0}, "no rows"),
        ({"ENTITY_COUNT": 99}, "it has 99 entities; the job reported 100"),
        ({"JOB_FROM": None, "JOB_TO": None}, "not a time"),
        ({"JOB_FROM": "yesterday"}, "not a time"),
        ({"JOB_FROM": BEGUN - timedelta(days=1)}, "from before this job"),
        ({"JOB_TO": BEGUN + timedelta(hours=3)}, "from after this job"),
        ({"JOB_FROM": WRITTEN, "JOB_TO": WRITTEN + timedelta(seconds=1)}, "more than one job"),
        ({"ANCHOR_FROM": ANCHOR - timedelta(days=30)}, "not 2017-12-01T00:00:00"),
        ({"ANCHOR_TO": ANCHOR + timedelta(days=30)}, "source.kumo.send_prediction_time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_done_is_not_believed_when(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(KumoOutputUnproved, match=words):
        prove(**changes)


def test_a_table_that_is_a_little_late_is_looked_at_again_and_one_that_never_comes_is_not_waited_for_for_ever() -> None:
    looks = iter([KumoOutputUnproved("a"), KumoOutputUnproved("b"), prove()])
    slept: list[float] = []

    def look() -> OutputProof:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    policy = PollPolicy(first_seconds=10, max_seconds=60, table_seconds=60)
    assert prove_when_written(look, policy, slept.append).rows == 500
    assert slept == [10, 15]

    def never() -> OutputProof:
        raise KumoOutputUnproved("never")

    with pytest.raises(KumoOutputUnproved, match="never"):
        prove_when_written(never, PollPolicy(first_seconds=0.001, max_seconds=0.001, table_seconds=0.01))


def test_a_job_that_told_no_count_is_proved_by_its_table_alone() -> None:
    assert prove(replace(JOB, entities=None), ENTITY_COUNT=7).entities == 7


@pytest.mark.parametrize(
    ("agreement", "entities", "believed"),
    [
        ("exact", 99, False), ("exact", 100, True), ("exact", 101, False),
        ("at_least", 99, False), ("at_least", 100, True), ("at_least", 101, True),
        ("off", 1, True), ("off", 101, True),
    ],
)  # fmt: skip
def test_how_many_entities_are_as_the_job_reported_is_a_setting(agreement: str, entities: int, believed: bool) -> None:
    if believed:
        assert prove(agreement=agreement, ENTITY_COUNT=entities).entities == entities
        return
    with pytest.raises(KumoOutputUnproved, match=rf"reported 100 \(source.kumo.entities_agree: {agreement}\)"):
        prove(agreement=agreement, ENTITY_COUNT=entities)


def test_no_agreement_believes_an_empty_table() -> None:
    with pytest.raises(KumoOutputUnproved, match="no rows"):
        prove(agreement="off", ROW_COUNT=0, ENTITY_COUNT=0)


def test_clocks_may_differ_by_minutes() -> None:
    early = BEGUN - timedelta(minutes=9)
    assert prove(JOB_FROM=early, JOB_TO=early).job_from == early


@pytest.mark.parametrize("value", ["2017-12-01 02:05:00", "2017-12-01T02:05:00Z", datetime(2017, 12, 1, 2, 5)])
def test_timestamps_are_read_as_text_too_and_without_a_zone_as_utc(value: Any) -> None:
    assert prove(JOB_FROM=value, JOB_TO=value).job_from == WRITTEN


def test_an_anchor_is_compared_only_when_one_was_sent() -> None:
    assert prove(ANCHOR_FROM=ANCHOR - timedelta(days=30), anchor=None).rows == 500


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("ranking", ("ENTITY", "CLASS", "SCORE")),
        ("regression", ("ENTITY", "TARGET_PRED")),
        ("binary_classification", ("ENTITY", "TARGET_PRED", "TRUE_PROB")),
        ("binary_classification", ("ENTITY", "SCORE")),
        ("multiclass_classification", ("ENTITY", "CLASS", "SCORE", "PREDICTED")),
    ],
)
def test_each_tasks_columns_are_known_and_extra_ones_are_no_matter(task: str, columns: tuple[str, ...]) -> None:
    assert recognise_output([*columns, "FALSE_PROB", "JOB_TIMESTAMP"], task) == columns
    for missing in columns:
        rest = [name for name in columns if name != missing]
        assert recognise_output(rest, task) not in [columns]
    assert columns in OUTPUT_COLUMNS[task]


def test_columns_are_recognised_in_any_case_and_read_as_they_are_quoted() -> None:
    sent: list[str] = []

    def row(sql: str) -> dict[str, object]:
        sent.append(sql)
        times = {name: datetime(2017, 11, 29, tzinfo=UTC) for name in ("JOB_FROM", "JOB_TO")}
        return {"ROW_COUNT": 2, "ENTITY_COUNT": 2, "NULL_COUNT": 0, "ANCHOR_FROM": None, "ANCHOR_TO": None} | times

    columns = {"ENTITY": "NUMBER", "Job_Timestamp": "TIMESTAMP_NTZ", "TARGET_PRED": "BOOLEAN", "True_PROB": "FLOAT"}
    job = KumoJob("j", JobStatus.DONE, "DONE", entities=2)
    prove_output(row, columns, '"D"."S"."T"', job, "binary_classification")
    assert '"True_PROB" AS "TRUE_PROB"' in sent[0]
    assert '"Job_Timestamp" AS "JOB_TIMESTAMP"' in sent[0]
    assert sent[0].endswith('FROM "D"."S"."T")')


def test_a_name_in_upper_case_goes_before_others_that_differ_in_case() -> None:
    assert in_upper_case("T", ["score", "SCORE"]) == "T"
    assert in_upper_case("T", ["Score", "ENTITY"]) == '(SELECT "ENTITY" AS "ENTITY", "Score" AS "SCORE" FROM T)'
    assert in_upper_case("T", ["ENTITY", "SCORE"]) == "T"
