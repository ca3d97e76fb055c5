"""The newest event of a raw log as a function of the user's says: for BigQuery, Databricks, or anything that can be asked.

The function is somebody else's code: whatever it raises or returns ends in one sentence that names it.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import ConfigError, RawLogError
from kumo_assets.redaction import scrub, without_secrets


def newest_by_function(name: str, raw: RawTable) -> datetime | None:
    """What the function returns for the log `name`, in UTC; None when it says that there is no event.

    ConfigError when there is no such function. RawLogError when it raises, takes longer than `function_seconds`, or
    returns something else than an aware datetime. It runs in a thread, which cannot be ended: one that takes too long is
    left behind, and ends with the process.
    """
    path, outcome = raw.freshness_from, _Outcome()
    worker = threading.Thread(target=outcome.take, args=(lambda: _load(path)(name),), name=path, daemon=True)
    worker.start()
    worker.join(raw.function_seconds)
    if worker.is_alive():
        raise _refused(
            name, path, f"it took longer than {raw.function_seconds:g} s", "make it faster, or set function_seconds"
        )
    if isinstance(outcome.error, ConfigError):
        raise outcome.error
    if outcome.error is not None:
        scrub(outcome.error)  # becomes the cause, which Dagster stores
        raise _refused(name, path, _reason(outcome.error), "fix what it asks, then try again") from outcome.error
    return _checked(name, path, outcome.value)


class _Outcome:
    """What a call in another thread returned or raised."""

    value: object = None
    error: BaseException | None = None

    def take(self, call: Callable[[], object]) -> None:
        try:
            self.value = call()
        except BaseException as error:  # noqa: BLE001 - somebody else's code; sys.exit is among what it may raise
            self.error = error


def _load(path: str) -> Callable[[str], object]:
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks one that it imports
        raise _missing(path, f"there is no module {error.name}") from error
    if not callable(found):
        raise _missing(path, f"{module} has no function {attribute}")
    function: Callable[[str], object] = found
    return function


def _missing(path: str, found: str) -> ConfigError:
    return ConfigError(
        "ask how far the raw logs reach",
        to=path,
        found=found,
        next="correct freshness_from in the RawLogs definition, or install the project that has the module",
    )


def _checked(name: str, path: str, value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise _refused(name, path, f"it returned {type(value).__name__}", "return an aware datetime, or None")
    if value != value:  # pandas' NaT, the maximum of nothing
        return None
    if value.utcoffset() is None:
        raise _refused(
            name, path, f"it returned {value.isoformat()}, which has no time zone", "return an aware datetime"
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise _refused(
            name, path, f"it returned {value.isoformat()}, which UTC has not", "return a real time"
        ) from None


def _reason(error: BaseException) -> str:
    try:
        return f"it raised {type(error).__name__}: {' '.join(without_secrets(str(error)).split())[:500]}"
    except Exception:  # noqa: BLE001 - an error whose text cannot be made
        return f"it raised {type(error).__name__}"


def _refused(name: str, path: str, found: str, advice: str) -> RawLogError:
    return RawLogError(f"ask how far the raw log {name} reaches", to=path, found=found, next=advice)
