"""ImportTable as AWS does it where MiniStack does not: token replay and conflict, and a bad line abandoning its object.

On AWS the first line that cannot be an item abandons the rest of that object and counts as one error, so ErrorCount = 1
may mean a million rows lost (seen on AWS). MiniStack skips the line and goes on.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kumo_sandbox.settings import write_whole

# "A client token is valid for 8 hours after the first request that uses it" (DynamoDB API reference, ImportTable).
TOKEN_SECONDS = 8 * 3600


@dataclass
class Known:
    """An import that was started through the proxy."""

    arn: str
    fingerprint: str
    errors: int = 0
    source: dict[str, Any] = field(default_factory=dict)
    token: str = ""
    at: float = field(default_factory=time.time)


class Imports:
    """Imports by client token and by ARN, kept in a file when there is one: tokens survive a restart."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        kept = json.loads(file.read_text()) if file is not None and file.is_file() else []
        self.by_arn: dict[str, Known] = {one["arn"]: Known(**one) for one in kept}

    def under(self, token: str) -> Known | None:
        """The import that was started with this token in the last 8 hours."""
        for known in self.by_arn.values():
            if token and known.token == token and time.time() - known.at < TOKEN_SECONDS:
                return known
        return None

    def remember(self, request: dict[str, Any], arn: str, errors: int) -> None:
        token = request.get("ClientToken", "")
        self.by_arn[arn] = Known(arn, fingerprint(request), errors, request["S3BucketSource"], token)
        self._keep()

    def forget(self, known: Known) -> None:
        """Drop an import that MiniStack does not know: it was killed before it saved."""
        self.by_arn.pop(known.arn, None)
        self._keep()

    def _keep(self) -> None:
        if self._file is not None:
            write_whole(self._file, json.dumps([asdict(known) for known in self.by_arn.values()]))

    def corrected(self, description: dict[str, Any]) -> dict[str, Any]:
        """A description with AWS's counters: zero while in progress, errors of abandoned objects, the real source."""
        known = self.by_arn.get(description.get("ImportArn", ""))
        if description.get("ImportStatus") == "IN_PROGRESS":
            description |= {"ProcessedItemCount": 0, "ImportedItemCount": 0, "ErrorCount": 0}
        elif known is not None and known.errors:
            description["ErrorCount"] = description.get("ErrorCount", 0) + known.errors
            description["ProcessedItemCount"] = description.get("ProcessedItemCount", 0) + known.errors
        if known is not None:
            description["S3BucketSource"] = known.source
        return description


def fingerprint(request: dict[str, Any]) -> str:
    """Equal for requests that AWS would call the same: all parameters but the token."""
    rest = {name: value for name, value in request.items() if name != "ClientToken"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def shadow(s3: Any, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The request to send on and the number of abandoned objects.

    When every line can be an item, the request itself. Else a copy of the objects, each cut before its first bad line,
    under a prefix of the sandbox's own, and a request that reads those. Objects are copied too where MiniStack would take
    a character inside a line for the line's end.
    """
    source = request["S3BucketSource"]
    bucket, prefix = source["S3Bucket"], source.get("S3KeyPrefix", "")
    zipped = request.get("InputCompressionType") == "GZIP"
    key = request["TableCreationParameters"]["KeySchema"][0]["AttributeName"]
    changed: dict[str, bytes] = {}
    abandoned = 0
    whole: list[str] = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            data = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            text = (gzip.decompress(data) if zipped else data).decode("utf-8", "replace")
            good = good_part(text, request["InputFormat"], key)
            abandoned += good is not None
            sent = for_ministack(text if good is None else good, request["InputFormat"])
            if sent == text:
                whole.append(item["Key"])
            else:
                changed[item["Key"]] = gzip.compress(sent.encode()) if zipped else sent.encode()
    if not changed:
        return request, 0
    place = f".sandbox-import/{uuid.uuid4()}/"
    for name, data in changed.items():
        s3.put_object(Bucket=bucket, Key=place + name, Body=data)
    for name in whole:
        s3.copy_object(Bucket=bucket, Key=place + name, CopySource={"Bucket": bucket, "Key": name})
    return {**request, "S3BucketSource": {**source, "S3KeyPrefix": place}}, abandoned


def for_ministack(text: str, kind: str) -> str:
    """The same items, with each character escaped that MiniStack's `str.splitlines` ends a line at and JSON does not."""
    if kind != "CSV":
        for separator in ("\u0085", "\u2028", "\u2029"):
            text = text.replace(separator, f"\\u{ord(separator):04x}")
    return text


def good_part(text: str, kind: str, key: str) -> str | None:
    """None when every line can be an item, else the text before the first line that cannot."""
    if kind == "CSV":
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header: list[str] | None = None
        kept: list[list[str]] = []
        try:
            for row in rows:
                if header is None:
                    header = row
                    position = header.index(key)
                elif len(row) != len(header) or not _is_key(row[position]):
                    break
                kept.append(row)
            else:
                return None
        except (csv.Error, ValueError):
            pass  # what was read so far is what AWS would have imported
        out = io.StringIO()
        csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(kept)
        return out.getvalue()
    # Lines end in a line feed alone: str.splitlines would also end one at U+2028, U+0085 and others, which JSON allows.
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.strip() and not _is_item(line, key):
            return "\n".join(lines[:number]) + "\n"
    return None


def _is_item(line: str, key: str) -> bool:
    try:
        return _is_key(json.loads(line)["Item"][key]["S"])
    except (ValueError, KeyError, TypeError):
        return False


def _is_key(value: str) -> bool:
    """A partition key has 1 to 2,048 bytes of UTF-8 (DynamoDB developer guide, "Constraints")."""
    return 0 < len(value.encode("utf-8", "replace")) <= 2048
