"""The query tag of a statement: which query, asset and release it is of, for whoever reads Snowflake's query history.

The tag is sent with each statement, so that one session may serve several runs' steps. Outside a step it says only whose
the session is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import dagster as dg

from kumo_assets.config.names import ROOT_RUN_TAG, ReleaseId
from kumo_assets.errors import ConfigError

PLAIN = "kumo_assets"
# Snowflake takes 2,000 characters ("Parameters", QUERY_TAG).
MOST_CHARACTERS = 2_000


def current_tag() -> str:
    """The tag for what Dagster executes now; PLAIN outside a step, and for a step of no one asset."""
    try:
        context = dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return PLAIN
    keys = {key.path[0]: key for key in (*context.selected_asset_keys, *_checked(context))}
    if len(keys) != 1:
        return PLAIN
    [key] = keys.values()
    partition = context.partition_key if context.has_partition_key else ""
    run = context.run
    root = run.tags.get(ROOT_RUN_TAG) or run.root_run_id or run.run_id
    return tag_of(key.path, partition, root, run.run_id)


def tag_of(path: Sequence[str], partition: str, root_run_id: str, run_id: str) -> str:
    """JSON, because Snowflake's history can take it apart (`PARSE_JSON(QUERY_TAG):query`)."""
    fields: Mapping[str, str] = {"app": PLAIN, "query": path[0], "asset": path[-1], "run": run_id}
    try:
        release = str(ReleaseId.of(partition, root_run_id)) if partition else ""
    except (ConfigError, ValueError):
        release = ""
    text = json.dumps({**fields, **({"release": release} if release else {})})
    return text if len(text) <= MOST_CHARACTERS else PLAIN


def _checked(context: dg.OpExecutionContext) -> list[dg.AssetKey]:
    """The assets whose checks this step runs."""
    return [check.asset_key for check in context.selected_asset_check_keys]
