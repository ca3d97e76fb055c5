"""Faults on demand at the HTTP boundary: which requests, how often, and what they get instead of an answer.

Set by `POST /_sandbox/faults` on the AWS proxy, cleared by `DELETE`. Never part of AWS's own routes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

from aiohttp import web


@dataclass
class Fault:
    """One fault. `operation` is a DynamoDB action or an S3 method (`PutObject`, `GetObject`, ...); `match` must occur in
    the path or body; `times` is how often (-1: until cleared). With `status` 0 the request goes on after `delay`
    seconds, or is cut off when `cut` is `before` (not sent on) or `after` (sent on, the answer lost)."""

    service: str = ""
    operation: str = ""
    match: str = ""
    status: int = 0
    code: str = ""
    times: int = 1
    delay: float = 0.0
    cut: str = ""
    seen: int = field(default=0)

    def wants(self, service: str, operation: str, text: str) -> bool:
        return (
            self.times != 0
            and self.service in ("", service)
            and self.operation in ("", operation)
            and (not self.match or self.match in text)
        )


FIELDS = tuple(one.name for one in fields(Fault))


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self.all: list[Fault] = []

    def add(self, specs: list[dict[str, Any]]) -> None:
        """Raises TypeError for an unknown field; then none of them is set."""
        self.all += [Fault(**spec) for spec in specs]

    def clear(self) -> None:
        self.all.clear()

    def take(self, service: str, operation: str, text: str) -> Fault | None:
        """The first fault that wants this request, counted as used."""
        for fault in self.all:
            if fault.wants(service, operation, text):
                fault.seen += 1
                fault.times -= 1 if fault.times > 0 else 0
                return fault
        return None


def error_response(service: str, status: int, code: str, message: str) -> web.Response:
    """An error as the service writes it: JSON for DynamoDB, XML for S3."""
    if service == "dynamodb":
        kind = "application/x-amz-json-1.0"
        text = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message})
    else:
        kind = "application/xml"
        text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return web.Response(status=status, body=text.encode(), headers={"Content-Type": kind})
