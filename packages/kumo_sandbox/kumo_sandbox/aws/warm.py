"""Warm throughput as AWS tells it: MiniStack takes it in UpdateTable and forgets it.

On AWS it is UPDATING for a while, and then what was asked for (DynamoDB developer guide, "Warm throughput"); a table that
must not go live before that could never be tried.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from kumo_sandbox.settings import write_whole

UPDATING_SECONDS = 0.5


class Warm:
    """Warm throughput asked for, by the table's ARN, kept in a file when there is one."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.asked: dict[str, dict[str, Any]] = (
            json.loads(file.read_text()) if file is not None and file.is_file() else {}
        )

    def ask(self, wanted: dict[str, Any], arn: str) -> None:
        """Note what UpdateTable asked for."""
        self.asked[arn] = {**wanted, "at": time.time()}
        if self._file is not None:
            write_whole(self._file, json.dumps(self.asked))

    def told(self, table: dict[str, Any]) -> dict[str, Any]:
        """A table's description, with what was asked for that table: one made later under its name has its own time."""
        asked = self.asked.get(table.get("TableArn", ""))
        if asked is None or asked["at"] < table.get("CreationDateTime", 0):
            return table
        status = "UPDATING" if time.time() - asked["at"] < UPDATING_SECONDS else "ACTIVE"
        wanted = {name: value for name, value in asked.items() if name != "at"}
        return table | {"WarmThroughput": {**table.get("WarmThroughput", {}), **wanted, "Status": status}}
