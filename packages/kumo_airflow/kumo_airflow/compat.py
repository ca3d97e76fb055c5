"""Airflow 2.11 and 3 under one name each; the only module that looks at which Airflow this is."""

from __future__ import annotations

from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

try:  # Airflow 3
    from airflow.sdk import (
        DAG,
        Asset,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        CronTriggerTimetable,
        Param,
        get_current_context,
        task,
    )
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
    from airflow.sdk.execution_time.xcom import XCom

    AIRFLOW_3 = True
except ImportError:  # Airflow 2.11
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import task
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
    from airflow.hooks.base import BaseHook
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.baseoperatorlink import BaseOperatorLink
    from airflow.models.dag import DAG
    from airflow.models.param import Param
    from airflow.models.xcom import XCom
    from airflow.operators.python import get_current_context
    from airflow.timetables.trigger import CronTriggerTimetable

    AIRFLOW_3 = False

# 3.3 calls a trigger's own `on_kill`; before it a trigger has to tell a person's kill from a triggerer's restart.
TRIGGERS_ARE_KILLED = hasattr(BaseTrigger, "on_kill")


async def connection(conn_id: str) -> Any:
    """A connection, from the triggerer's event loop."""
    found = getattr(BaseHook, "aget_connection", None)
    if found is not None:
        return await found(conn_id)
    from asgiref.sync import sync_to_async

    return await sync_to_async(BaseHook.get_connection)(conn_id)


async def still_deferred(ti: Any) -> bool:
    """Is the trigger's task still deferred? No means that somebody cleared or marked it."""
    from asgiref.sync import sync_to_async

    return bool(await sync_to_async(_state)(ti) == "deferred")


def _state(ti: Any) -> str | None:
    if AIRFLOW_3:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        states = RuntimeTaskInstance.get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        return next(iter(states.get(ti.run_id, {}).values()), None)
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        row = session.query(TaskInstance.state).filter(
            TaskInstance.dag_id == ti.dag_id,
            TaskInstance.run_id == ti.run_id,
            TaskInstance.task_id == ti.task_id,
            TaskInstance.map_index == ti.map_index,
        )
        found: str | None = row.scalar()
        return found


__all__ = [
    "AIRFLOW_3",
    "DAG",
    "TRIGGERS_ARE_KILLED",
    "AirflowException",
    "AirflowFailException",
    "AirflowSkipException",
    "Asset",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseTrigger",
    "CronTriggerTimetable",
    "Param",
    "TriggerEvent",
    "XCom",
    "connection",
    "get_current_context",
    "still_deferred",
    "task",
]
