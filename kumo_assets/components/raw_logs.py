"""The `RawLogs` component: raw log tables, observed and shared by all queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from kumo_assets.assets.raw import build_raw_logs
from kumo_assets.components.scaffold import RawLogsScaffolder
from kumo_assets.config.raw_logs import RawLogsSpec


@dg.scaffold_with(RawLogsScaffolder)
class RawLogs(dg.Component):
    """Raw logs streamed into Snowflake: row count, newest event and freshness, observed and never written."""

    def __init__(self, name: str, spec: RawLogsSpec) -> None:
        self.name = name
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return RawLogsSpec

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> RawLogs:
        return cls(Path(context.path).name, attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return build_raw_logs(self.name, self.spec)
