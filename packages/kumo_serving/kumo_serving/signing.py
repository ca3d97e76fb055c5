"""Signed requests to DynamoDB, as bytes: `POST /` with a JSON body, signed by awscrt, AWS's own C implementation.

botocore signs too, but in Python and inside an operation layer that costs as much as ten lookups; awscrt takes some
11 us (docs/benchmarks.md). Where credentials come from is `aws`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSignedBodyHeaderType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.exceptions import AwsCrtError
from awscrt.http import HttpHeaders, HttpRequest

from kumo_serving.errors import Unavailable

try:
    import _awscrt
except ImportError:
    _awscrt = None

Sign = Callable[[HttpRequest, AwsSigningConfig, Callable[[int], object]], object]
# What awscrt's aws_sign_request calls, without the Future that it makes each time: a lock and a condition, which with cold
# caches cost as much as the signature. The name is not public, so a signer takes it only after it has seen both agree.
_bare: Sign | None = getattr(_awscrt, "sign_request_aws", None)


class Signer:
    """Signs for one set of credentials, region and host. Safe in threads and after a fork; never shows a secret.

    awscrt's objects are kept, as making them costs more than signing: of one second, that of the date in a signature,
    what all its requests have in common; of each target, requests that no thread is at, without what signing added.
    """

    __slots__ = ("_added", "_bare", "_config", "_host", "_provider", "_region", "_token", "_unsigned")

    def __init__(self, access_key: str, secret_key: str, token: str | None, region: str, host: str) -> None:
        self._provider = AwsCredentialsProvider.new_static(access_key, secret_key, token)
        # An empty one is none, as for awscrt: a line `aws_session_token =` in a file of credentials gives that.
        self._token = f"X-Amz-Security-Token: {token}\r\n" if token else ""
        self._added = ("X-Amz-Date", "Authorization", *(("X-Amz-Security-Token",) if token else ()))
        self._region = region
        self._host = host
        self._config: tuple[int, AwsSigningConfig | None] = (0, None)
        self._unsigned: dict[str, list[tuple[HttpRequest, io.BytesIO]]] = {}
        self._bare = _bare if _bare is not None and self._agrees(_bare) else None

    def request(self, target: str, body: bytes) -> bytes:
        """The whole HTTP request. `target` is the X-Amz-Target. Raises Unavailable when it cannot be signed."""
        unsigned = self._unsigned.setdefault(target, [])
        try:
            request, stream = unsigned.pop()
        except IndexError:
            request, stream = self._new(target)
        # awscrt hashes what it reads from the stream, from its start.
        stream.seek(0)
        stream.truncate()
        stream.write(body)
        codes: list[int] = []
        if self._bare is not None:
            # With static credentials all is done when this returns: no thread, no waiting.
            self._bare(request, self._of_this_second(), codes.append)
        if codes != [0]:
            _sign(request, self._of_this_second())
        signed = request.headers
        date, authorization = signed.get("X-Amz-Date"), signed.get("Authorization")
        for name in self._added:
            signed.remove(name)
        unsigned.append((request, stream))
        head = (
            f"POST / HTTP/1.1\r\nHost: {self._host}\r\nX-Amz-Target: {target}\r\nX-Amz-Date: {date}\r\n"
            f"{self._token}Authorization: {authorization}\r\nContent-Type: application/x-amz-json-1.0\r\n"
            f"Accept-Encoding: identity\r\nUser-Agent: kumo_serving\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("latin-1") + body

    def _new(self, target: str) -> tuple[HttpRequest, io.BytesIO]:
        stream = io.BytesIO()
        return HttpRequest("POST", "/", HttpHeaders([("Host", self._host), ("X-Amz-Target", target)]), stream), stream

    def _of_this_second(self) -> AwsSigningConfig:
        now = int(time.time())
        second, config = self._config
        if second != now:
            config = AwsSigningConfig(
                algorithm=AwsSigningAlgorithm.V4,
                signature_type=AwsSignatureType.HTTP_REQUEST_HEADERS,
                credentials_provider=self._provider,
                region=self._region,
                service="dynamodb",
                # The body's hash goes into the signature, and need not be sent as a header but to S3.
                signed_body_header_type=AwsSignedBodyHeaderType.NONE,
            )
            self._config = now, config
        return config

    def _agrees(self, bare: Sign) -> bool:
        """True when awscrt's bare function signs at once, and as its public one does."""
        (ours, stream), (theirs, other) = self._new("a target"), self._new("a target")
        stream.write(b"{}")
        other.write(b"{}")
        codes: list[int] = []
        config = self._of_this_second()
        try:
            bare(ours, config, codes.append)
            _sign(theirs, config)
        # Whatever another release of awscrt makes of it: there is the public function, which says what is wrong.
        except Exception:  # noqa: BLE001
            return False
        return codes == [0] and list(ours.headers) == list(theirs.headers)


def _sign(request: HttpRequest, config: AwsSigningConfig) -> None:
    """Sign by awscrt's public function. Raises Unavailable when it cannot be done."""
    try:
        # With static credentials the future is done when this returns.
        aws_sign_request(request, config).result(0)
    except (AwsCrtError, TimeoutError) as error:
        raise Unavailable(
            "sign a lookup", found=f"{type(error).__name__}: {error}", next="check this service's AWS credentials"
        ) from None
