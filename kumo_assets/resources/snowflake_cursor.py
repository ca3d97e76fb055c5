"""The connector's cursor, but that a network time-out limits each request and not the statement.

Importing it imports the Snowflake connector, which takes seconds; so it is imported where a statement is sent.
"""

from __future__ import annotations

from typing import Any

from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errorcode import (
    ER_CONNECTION_TIMEOUT,
    ER_FAILED_TO_CONNECT_TO_DB,
    ER_FAILED_TO_REQUEST,
    ER_HTTP_GENERAL_ERROR,
)
from snowflake.connector.errors import Error

_NO_ANSWER = (ER_FAILED_TO_CONNECT_TO_DB, ER_FAILED_TO_REQUEST, ER_CONNECTION_TIMEOUT)


class UnhurriedCursor(SnowflakeCursor):
    """A cursor that does not cancel a statement after `network_timeout`.

    The connector (4.8, `cursor.py`, `_execute_helper`) uses that time for two things: as the limit of each request, which
    is what we want, and as a timer after which the statement is cancelled, however well Snowflake answers. An unload may
    take an hour. The timer is kept in `_timebomb`; here, one that never goes off.
    """

    @property
    def _timebomb(self) -> Any:
        return self.__dict__.get("_no_timer")

    @_timebomb.setter
    def _timebomb(self, timer: Any) -> None:
        self.__dict__["_no_timer"] = None if timer is None else _NoTimer()


class _NoTimer:
    """What the connector does with its timer, done to nothing."""

    executed = False

    def start(self) -> None: ...

    def cancel(self) -> None: ...


def no_answer(error: Error) -> bool:
    """True when a request to Snowflake failed, or its answers were a proxy's, and not the statement."""
    return error.errno in _NO_ANSWER or (error.errno or 0) >= ER_HTTP_GENERAL_ERROR
