"""One DynamoDB endpoint: its name, its addresses, and what a connection to it needs. Which endpoint a region has is
`sessions`' to find out; connections are `sockets`' and `streams`'.
"""

from __future__ import annotations

import random
import socket
import ssl
import time
from urllib.parse import urlsplit


class Endpoint:
    """Where to connect, and how to sign for it. Compared by identity; made by `sessions.Shared`.

    `note` is added to the message when no connection can be made, such as that a proxy is set and not used.
    """

    __slots__ = ("addresses", "host", "host_header", "note", "port", "region", "resolved_at", "tls")

    def __init__(self, url: str, region: str, tls: ssl.SSLContext | None, note: str = "") -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if tls else 80)
        self.host_header = self.host if parts.port is None else f"{self.host}:{self.port}"
        self.region = region
        self.tls = tls
        self.note = note
        self.addresses: list[str] = []
        self.resolved_at = 0.0

    def resolve(self) -> None:
        """Look the host up in DNS. Kept off the request path: a slow resolver would break any time budget."""
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        four = [str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET]
        # IPv4 first: DynamoDB's standard endpoints have it, and a half-working IPv6 is the more common fault.
        self.addresses = four or [str(entry[4][0]) for entry in found]
        self.resolved_at = time.monotonic()

    def address(self) -> tuple[str, int]:
        """One of the host's addresses, at random: a retry tries another. OSError when none is known."""
        if not self.addresses:
            raise OSError(f"{self.host} has not been resolved")
        return random.choice(self.addresses), self.port
