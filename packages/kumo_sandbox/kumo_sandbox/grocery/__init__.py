"""Raw logs for the sandbox: a year of real grocery transactions, or a log of the user's own.

What the logs look like is here, and how they get into Snowflake: through the connector, PUT and COPY INTO, as a company
would load a file. Which days are run, and how good the predictions were, is `kumo_sandbox.demo`.
"""

from __future__ import annotations

from kumo_sandbox.grocery.catalogue import Product, catalogue, write_catalogue
from kumo_sandbox.grocery.log import EventLog, LogError, grocery_log
from kumo_sandbox.grocery.own_log import Columns, own_log
from kumo_sandbox.grocery.stream import Streamed, stream

__all__ = [
    "Columns",
    "EventLog",
    "LogError",
    "Product",
    "Streamed",
    "catalogue",
    "grocery_log",
    "own_log",
    "stream",
    "write_catalogue",
]
