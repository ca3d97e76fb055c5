"""Session tokens beside the one of a login: `POST /session/token-request`, which fakesnow does not have.

A client that logs in asks for one to show it to a service's ingress, as the Kumo native app's client does. Who is let in
by it is decided in `kumo_sandbox.kumo.ingress`, which asks `/session/heartbeat` here.
"""

from __future__ import annotations

import gzip
import json
import secrets

import fakesnow.server as fake
from starlette.requests import Request
from starlette.responses import JSONResponse

SECONDS = 3600


async def token_request(request: Request) -> JSONResponse:
    """A new token of the session whose token is in the body; Snowflake's 390104 when there is no such session."""
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    session = fake.sessions.get(json.loads(body).get("oldSessionToken", ""))
    if session is None:
        message = "User must login again to access the service."
        return JSONResponse({"data": {}, "code": "390104", "message": message, "success": False, "headers": None})
    token = secrets.token_urlsafe(32)
    fake.sessions[token] = session
    data = {
        "sessionToken": token,
        "validityInSecondsST": SECONDS,
        "masterToken": secrets.token_urlsafe(32),
        "validityInSecondsMT": SECONDS,
    }
    return JSONResponse({"data": data, "code": None, "message": None, "success": True})
