"""Waiting in the triggerer: a run to its end, a step of a run, a pointer to its move. Each yields one event, a dict.

A trigger is stored in Airflow's database, so it carries ids and numbers, never the token: the connection is looked up
where it runs. What an event means is the operator's business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from kumo_airflow import operations
from kumo_airflow.compat import TRIGGERS_ARE_KILLED, BaseTrigger, TriggerEvent, still_deferred
from kumo_airflow.errors import KumoAirflowError
from kumo_airflow.events import progress
from kumo_airflow.following import PARTITION_TAG, next_move
from kumo_airflow.hook import async_client
from kumo_airflow.live import decide_live
from kumo_airflow.steps import group_of, step_state


class _Trigger(BaseTrigger):
    """What the three share: their own arguments stored as they are, and errors as events."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", dict(self.arguments)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            found = await self.watch()
        except KumoAirflowError as error:
            found = {"error": str(error), "kind": type(error).__name__}
        except asyncio.CancelledError:
            if not TRIGGERS_ARE_KILLED and self.task_instance and not await still_deferred(self.task_instance):
                await self.on_kill()
            raise
        yield TriggerEvent(found)

    async def watch(self) -> dict[str, Any]:
        raise NotImplementedError

    async def on_kill(self) -> None:
        """Nothing to end: what only watches owns nothing."""

    def client(self, outage_seconds: float | None = None) -> Any:
        seconds = outage_seconds if outage_seconds is not None else self.arguments.get("outage_seconds")
        return async_client(self.arguments["conn_id"], seconds, self.log.warning)


class RunTrigger(_Trigger):
    """Waits for a run, and Dagster's own retries of it. Killing the task terminates the run when it is `own`.

    Arguments: conn_id, run_id, deadline_at (seconds since 1970 or None), poll_seconds, outage_seconds, own.
    Event: {run_id, what, outcome} of `following.Move`.
    """

    async def watch(self) -> dict[str, Any]:
        asked = self.arguments
        run_id, cursor = asked["run_id"], None
        async with await self.client() as dagster:
            while True:
                seen = await dagster.do(operations.look(run_id, cursor))
                cursor = seen.cursor
                for line in progress(seen.events):
                    self.log.info("%s", line)
                if seen.more:
                    continue
                move = next_move(seen.run, now=time.time(), deadline_at=asked["deadline_at"])
                if move.what == "follow":
                    self.log.info("%s", move.why)
                    run_id, cursor = move.run_id, None
                    self.arguments["run_id"] = run_id  # a kill from here on ends the run that lives
                elif move.what == "wait":
                    await asyncio.sleep(asked["poll_seconds"])
                else:
                    return {"run_id": move.run_id, "what": move.what, "outcome": move.outcome}

    async def on_kill(self) -> None:
        if not self.arguments["own"]:
            self.log.info("Run %s was not started from here and goes on", self.arguments["run_id"])
            return
        async with await self.client(outage_seconds=15) as dagster:
            refused = await dagster.do(operations.terminate(self.arguments["run_id"]))
        self.log.info("Run %s: %s", self.arguments["run_id"], refused or "told to stop")


class StepTrigger(_Trigger):
    """Waits for one step of a run, wherever in its re-executions the step happens.

    Arguments: conn_id, run_id, job, query, step, poll_seconds, outage_seconds. Event: {state, words}.
    """

    async def watch(self) -> dict[str, Any]:
        asked = self.arguments
        cursors: dict[str, str | None] = {}
        events: dict[str, list[Mapping[str, Any]]] = {}
        async with await self.client() as dagster:
            first = (await dagster.do(operations.look(asked["run_id"]))).run
            while True:
                found = await dagster.do(operations.runs(first.job, {operations.ROOT_TAG: first.root_run_id}))
                root = (await dagster.do(operations.look(first.root_run_id))).run
                group = group_of(root, found)
                for run in group:
                    more = True
                    while more:
                        seen = await dagster.do(operations.look(run.run_id, cursors.get(run.run_id)))
                        cursors[run.run_id], more = seen.cursor, seen.more
                        events.setdefault(run.run_id, []).extend(seen.events)
                every = [event for run in group for event in events[run.run_id]]
                state, words = step_state(asked["step"], asked["query"], every, group[-1], now=time.time())
                if state != "waiting":
                    return {"state": state, "words": words}
                await asyncio.sleep(asked["poll_seconds"])


class LiveTrigger(_Trigger):
    """Waits until a release is, or was, what services read; or can no longer become it.

    Arguments: conn_id, query, job, release_id, partition, deadline_at, poll_seconds, outage_seconds, repository,
    location. Event: {state, generation, at, words}.
    """

    async def watch(self) -> dict[str, Any]:
        asked = self.arguments
        async with await self.client() as dagster:
            while True:
                moves = await dagster.do(operations.pointer_moves(asked["query"]))
                runs = []
                if any(move.partition == asked["partition"] for move in moves):
                    tags = {PARTITION_TAG: asked["partition"]}
                    runs = await dagster.do(operations.runs(asked["job"], tags))
                state, move = decide_live(moves, asked["release_id"], asked["partition"], runs)
                if state != "wait" and move is not None:
                    return {"state": state, "generation": move.generation, "at": move.at, "words": move.release_id}
                if time.time() >= asked["deadline_at"]:
                    job = await dagster.do(operations.find_job(asked["job"], asked["repository"], asked["location"]))
                    words = await dagster.do(operations.sensor_reason(job))
                    return {"state": "overdue", "generation": 0, "at": 0.0, "words": words}
                await asyncio.sleep(asked["poll_seconds"])
