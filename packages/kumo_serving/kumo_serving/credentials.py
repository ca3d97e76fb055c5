"""AWS credentials as they are now, for a process that lives for weeks. The chain that finds them is botocore's.

A botocore session that has read a file never reads it again. So a new session is asked whenever a file or a variable
that credentials come from has changed. Sessions of roles, single sign-on and containers renew themselves and are kept.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import NoCredentialsError

# Credentials that neither renew themselves nor change in a file (a process may give such) are asked for again after so
# long.
RENEW_SECONDS = 300.0

# Where botocore looks for them, beside its variables: each variable, and the file when it is not set.
# https://docs.aws.amazon.com/boto3/latest/guide/credentials.html
_FILES = (
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("BOTO_CONFIG", "~/.boto"),
    ("AWS_CREDENTIAL_FILE", ""),
)

Stamp = tuple[int, int, int] | None


def stamp(variable: str, otherwise: str) -> Stamp:
    """What changes when the file does, also when it is replaced or a link leads elsewhere. None when there is none."""
    try:
        found = os.stat(os.path.expanduser(os.environ.get(variable) or otherwise))
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _signs() -> object:
    """Differs from an earlier one when credentials may have changed."""
    variables = [item for item in os.environ.items() if item[0].startswith("AWS_") or item[0] == "HOME"]
    return sorted(variables), [stamp(*file) for file in _FILES]


class Followed(Credentials):
    """botocore's credentials object, which always freezes to what this machine's credentials are now. Thread-safe."""

    def __init__(self, new_session: Callable[[], Any]) -> None:
        self.method = "kumo_serving"
        self._new_session = new_session
        self._lock = threading.Lock()
        self._held: ReadOnlyCredentials | None = None
        self._source: Credentials | None = None
        self._seen: object = None
        self._until = 0.0

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Raises what botocore raises, NoCredentialsError when none are found."""
        # To renew a role takes seconds at times. One thread does it; the others go on with what is held.
        if not self._lock.acquire(blocking=self._held is None) and self._held is not None:
            return self._held
        try:
            self._held = self._look()
            return self._held
        finally:
            self._lock.release()

    def _look(self) -> ReadOnlyCredentials:
        seen, now = _signs(), time.monotonic()
        if self._source is None or seen != self._seen or now >= self._until:
            self._source = self._new_session().get_credentials()
            self._seen = seen
            self._until = float("inf") if isinstance(self._source, RefreshableCredentials) else now + RENEW_SECONDS
        if self._source is None:
            raise NoCredentialsError
        try:
            # For credentials that renew themselves this is where botocore does it, 15 minutes before they expire.
            return self._source.get_frozen_credentials()
        except Exception:
            self._source = None  # what a role is taken with may have changed: next time all is found anew
            raise

    # For botocore, which reads some of these when it makes a client.
    access_key = property(lambda self: self.get_frozen_credentials().access_key)
    secret_key = property(lambda self: self.get_frozen_credentials().secret_key)
    token = property(lambda self: self.get_frozen_credentials().token)
    account_id = property(lambda self: self.get_frozen_credentials().account_id)
