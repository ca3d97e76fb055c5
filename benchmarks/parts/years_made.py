"""One release made in the sandbox, kept as a file, and years of releases that are made of it. Prints JSON: how many objects
were written.

    python -m benchmarks.parts.years_made QUERY DAYS FILE
"""

from __future__ import annotations

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from kumo_sandbox.testing.history import HEX, History

# Gates and attempts beside those of the test's release, so that a release has as many objects as the chain writes.
MORE_GATES = ("class_share", "coverage", "entities_lost", "keys", "overlap", "score_drift", "score_range", "top_item")
ASSETS = ("predictions", "postprocessed", "s3_export")


def history_from(file: Path, days: int) -> History:
    """The history that a file's release begins."""
    from kumo_assets.pointers.document import digest_of

    kept = json.loads(file.read_text())
    release = {name: base64.b64decode(data) for name, data in kept["release"].items()}
    pointer = base64.b64decode(kept["pointer"])
    return History(kept["query"], date.fromisoformat(kept["last"]), days, release, pointer, digest_of)


def main() -> None:
    from kumo_sandbox.testing.releases import shop

    from kumo_assets.config.environment import Environment
    from kumo_assets.releases.operations.promote import promote

    query, days, file = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    last = datetime.now(UTC).date() - timedelta(days=1)
    made = shop(query=query, environment=Environment.from_variables())
    ctx, objects = made.ctx, made.ctx.objects
    release = made.build(last.isoformat(), root=HEX + "0" * 24)
    opened = ctx.store.opened(release)
    assert opened is not None
    for gate in MORE_GATES:
        made.verdict(opened, gate)
    for asset in ASSETS:
        ctx.store.write_statistics(release, asset, {"rows": 3})
    promote(ctx, release, by="bench")
    folder = ctx.names.release_prefix(release)
    stored = {item.key: found.data for item in objects.list(ctx.names.root) if (found := objects.get(item.key))}
    kept = {
        "query": query,
        "last": last.isoformat(),
        "pointer": base64.b64encode(stored[ctx.names.pointer_key]).decode(),
        "release": {
            key.removeprefix(folder): base64.b64encode(data).decode()
            for key, data in stored.items()
            if key.startswith(folder)
        },
    }
    file.write_text(json.dumps(kept))
    history = history_from(file, days)
    objects.delete_many(key for key in stored if key.startswith(ctx.names.ledger_prefix))
    bodies = {key: history.body(key, query) for key in history.keys} | history.own(query)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: objects.put(ctx.names.root + item[0], item[1]), bodies.items()))
    print(json.dumps({"objects": len(bodies)}))


if __name__ == "__main__":
    main()
