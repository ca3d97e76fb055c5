"""Warm throughput as AWS reports it: MiniStack accepts it in UpdateTable and forgets it.

On AWS the table is UPDATING for a while and then has the throughput asked for (DynamoDB developer guide, "Warm
throughput"). Without this, code that waits for it before a table goes live could not be tested.
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

    def described(self, table: dict[str, Any]) -> dict[str, Any]:
        """A table's description with the throughput asked for. A table created later under the same name has none yet."""
        asked = self.asked.get(table.get("TableArn", ""))
        if asked is None or asked["at"] < table.get("CreationDateTime", 0):
            return table
        status = "UPDATING" if time.time() - asked["at"] < UPDATING_SECONDS else "ACTIVE"
        wanted = {name: value for name, value in asked.items() if name != "at"}
        return table | {"WarmThroughput": {**table.get("WarmThroughput", {}), **wanted, "Status": status}}
