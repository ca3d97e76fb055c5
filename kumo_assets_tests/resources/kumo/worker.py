"""A worker to be killed: launches a release's job as the predictions asset does, then writes its id down.

`python -m kumo_assets_tests.resources.kumo.worker URL RECORD` with a launch as JSON on stdin; says `ready` and waits for
a line. Imports the client only, so that it is up in a second.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from kumo_assets.resources.kumo.client import open_client
from kumo_assets.resources.kumo.model import Launch, PollPolicy

POLICY = PollPolicy(first_seconds=0.05, max_seconds=0.1, deadline_seconds=30)


def main(url: str, key: str, graph: str, record: Path, fields: dict[str, object]) -> None:
    fields["prediction_time"] = datetime.fromisoformat(str(fields["prediction_time"]))
    launch = Launch(**fields)  # type: ignore[arg-type]
    with open_client(url, key) as client:

        def make(attempt: int) -> Launch:
            snapshot = client.refresh_snapshot(graph, POLICY)
            model = client.newest_model(launch.query_id).job_id
            return replace(launch, training_job_id=model, graph_snapshot_id=snapshot)

        print("ready", flush=True)
        sys.stdin.readline()
        _, job, _ = client.adopt_or_launch(lambda attempt: launch, make)
        record.write_text(job.job_id)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), json.loads(sys.stdin.readline()))
