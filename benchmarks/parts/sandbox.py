"""A sandbox of a benchmark's own, and made-up tables in it, made by SQL inside the warehouse."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle, start_sandbox

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def sandbox() -> Iterator[tuple[SandboxHandle, Path]]:
    """(a running sandbox, a scratch folder); both are gone after."""
    home = Path(tempfile.mkdtemp(prefix="kumo-bench-"))
    handle = start_sandbox(home / "sandbox")
    try:
        yield handle, home
    finally:
        handle.discard()
        shutil.rmtree(home, ignore_errors=True)


def program(
    handle: SandboxHandle | None,
    module: str,
    *arguments: str,
    paths: tuple[str, ...] = (),
    folder: Path = ROOT,
    **more: str,
) -> str:
    """Run `python -m benchmarks.parts.<module>` in the sandbox's environment; its standard output."""
    path = os.pathsep.join([*paths, str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.parts.{module}", *arguments],
        env={
            **os.environ,
            **(handle.env if handle else {}),
            "PYTHONPATH": path,
            "DAGSTER_DISABLE_TELEMETRY": "1",
            **more,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    if done.returncode != 0:
        raise SystemExit(f"benchmarks.parts.{module} failed:\n{done.stderr[-4000:]}")
    return done.stdout.strip().splitlines()[-1]


# Eight events an entity, spread over November 2017, of 2,000 products, the first far more often than the last.
LOGS = """
CREATE OR REPLACE TABLE "KUMO"."RAW"."TRANSACTIONS" AS
SELECT
    N % {entities} AS HOUSEHOLD_ID, 1 AS STORE_ID, N % {entities} AS BASKET_ID, 1 AS QUANTITY, 2.5::FLOAT AS SALES_VALUE,
    FLOOR(2000 * POWER((ABS(HASH(N)) % 1000003) / 1000003.0, 2))::NUMBER(38, 0) AS PRODUCT_ID,
    DATEADD('minute', N % 40000, '2017-11-03 05:00:00'::TIMESTAMP_NTZ) AS TRANSACTION_TIMESTAMP
FROM (SELECT SEQ8() AS N FROM TABLE(GENERATOR(ROWCOUNT => {events})))
"""
PRODUCTS = """
CREATE OR REPLACE TABLE "KUMO"."RAW"."PRODUCTS" AS
SELECT SEQ4() AS PRODUCT_ID, 'product' AS NAME FROM TABLE(GENERATOR(ROWCOUNT => 2000))
"""


def make_logs(handle: SandboxHandle, entities: int) -> None:
    """Raw logs of so many entities in the tables the shipped definitions name, up to 2017-11-30 23:39."""
    with connect(handle.env) as connection:
        for statement in (LOGS.format(entities=entities, events=max(8 * entities, 40_000)), PRODUCTS):
            connection.cursor().execute(statement)
