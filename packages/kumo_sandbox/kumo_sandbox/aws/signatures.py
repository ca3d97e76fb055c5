"""AWS Signature Version 4, checked as AWS checks it: MiniStack takes any credentials, and a wrong one must be refused.

Source: AWS, "Create a signed AWS API request". Bodies are trusted to be what `X-Amz-Content-Sha256` says.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote, unquote, urlsplit

from aiohttp import web

_AUTHORIZATION = re.compile(
    r"Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]+)"
)


def signed_service(request: web.Request) -> str:
    """The service a request was signed for; s3 when it was not signed."""
    found = _AUTHORIZATION.search(request.headers.get("Authorization", ""))
    return found[4] if found else "s3"


def refusal(
    request: web.Request, service: str, body: bytes, access_key: str, secret_key: str
) -> tuple[int, str, str] | None:
    """None for a request signed with this key and secret; else status, code and message as the service has them."""
    dynamodb = service == "dynamodb"
    found = _AUTHORIZATION.search(request.headers.get("Authorization", ""))
    if found is None:
        code = "MissingAuthenticationTokenException" if dynamodb else "AccessDenied"
        return 400 if dynamodb else 403, code, "The request carries no AWS signature."
    if found[1] != access_key:
        if dynamodb:
            return 400, "UnrecognizedClientException", "The security token included in the request is invalid."
        return 403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
    if not hmac.compare_digest(_signature(request, body, found, secret_key), found[6]):
        code = "InvalidSignatureException" if dynamodb else "SignatureDoesNotMatch"
        words = "The request signature we calculated does not match the signature you provided."
        return 400 if dynamodb else 403, code, words
    return None


def _signature(request: web.Request, body: bytes, found: re.Match[str], secret_key: str) -> str:
    """The signature of the request as it arrived."""
    _, day, region, service, signed, _ = found.groups()
    parts = urlsplit(request.raw_path)
    pairs = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _, value in (item.partition("=") for item in parts.query.split("&") if item)
    )
    path = parts.path if service == "s3" else quote(parts.path, safe="/-_.~")
    payload = request.headers.get("X-Amz-Content-Sha256") or hashlib.sha256(body).hexdigest()
    names = signed.split(";")
    canonical = "\n".join(
        [
            request.method,
            path or "/",
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(','.join(request.headers.getall(name, [])).split())}" for name in names),
            "",
            signed,
            payload,
        ]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    stamp = request.headers.get("X-Amz-Date", "")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + secret_key.encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
