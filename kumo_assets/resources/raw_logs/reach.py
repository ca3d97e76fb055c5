"""How far do raw logs outside Snowflake reach? One answer for every place that can be asked.

Logs in Snowflake are read where their rows are counted (`assets.raw`, `assets.log_arrival`). Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.resources.raw_logs.times import Reach

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def reach(name: str, raw: RawTable, at: datetime, s3: Callable[[], S3Client]) -> Reach:
    """How far the log `name` reaches. `at`: the end of the partition that is asked for, or now.

    Raises RawLogError for logs that are not as the definition says, and when they cannot be read; ConfigError for a
    function that does not exist. `raw` is no log of Snowflake's.
    """
    if raw.freshness_from == "none":
        return Reach(None)
    if raw.freshness_from == "s3":
        from kumo_assets.resources.raw_logs.s3 import reach_on_s3

        return reach_on_s3(name, raw, at, s3())
    from kumo_assets.resources.raw_logs.function import newest_by_function

    newest = newest_by_function(name, raw)
    return Reach(newest, empty=newest is None)
