"""One process that loads a project of many queries and evaluates the promotion sensor over them. Prints JSON with the
seconds of the first tick, and of those after it (median of five), when every query has one promoted release.

    python -m benchmarks.parts.sensor_tick PACKAGE
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from importlib import import_module
from typing import Any


def main() -> None:
    import dagster as dg
    from kumo_sandbox.testing.releases import shop

    from kumo_assets.config.environment import Environment
    from kumo_assets.definitions import shared_resources
    from kumo_assets.releases.operations.promote import promote

    definitions: Any = import_module(f"{sys.argv[1]}.definitions").defs()
    repository = definitions.get_repository_def()
    environment = Environment.from_variables()
    for key in repository.asset_graph.materializable_asset_keys:
        if key.path[-1] == "active_pointer":
            made = shop(query=key.path[0], environment=environment)
            promote(made.ctx, made.build(), by="bench")
            made.ctx.close()
    sensor = repository.get_sensor_def("promotion_sensor")
    cursor, took, outside = None, [], shared_resources()
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(6):
            with dg.build_sensor_context(
                instance=instance,
                cursor=cursor,
                repository_def=repository,
                resources={name: outside[name] for name in ("kumo_assets_releases", "kumo_assets_s3")},
            ) as context:
                started = time.perf_counter()
                result = sensor.evaluate_tick(context)
                took.append(time.perf_counter() - started)
            assert not result.run_requests, result.run_requests
            cursor = result.cursor
    print(json.dumps({"first": took[0], "steady": statistics.median(took[1:])}))


if __name__ == "__main__":
    main()
