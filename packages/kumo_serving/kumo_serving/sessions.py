"""What the readers of a process share of AWS: botocore's session and its service models, S3 clients, endpoints.

With a session of its own each further reader cost 34 MB, and a pause of the whole process while its models were read and
garbage was collected over them. Everything here is slow or takes locks and belongs on a background thread: what a lookup
needs is kept by `aws.Account`. How credentials are followed is in `credentials`.
"""

from __future__ import annotations

import functools
import logging
import os
import ssl
import threading
import weakref
from typing import Any, Literal
from urllib.parse import urlsplit

import botocore
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader, create_loader
from botocore.utils import get_environ_proxies

from kumo_serving.addresses import S3Address
from kumo_serving.credentials import Followed, stamp
from kumo_serving.endpoints import Endpoint
from kumo_serving.errors import Unavailable

log = logging.getLogger("kumo_serving")

S3_CONNECT_SECONDS = 2.0
S3_READ_SECONDS = 3.0
# Connections that a shared S3 client keeps: the threads of many readers use it side by side. botocore's default is 10.
S3_CONNECTIONS = 64

# A difference in these makes no new session: `Followed` sees it.
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
)


class Shared:
    """One botocore session and what was made from it. Thread-safe, which the session itself is not."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self._lock = threading.RLock()
        # (region, endpoint, path style) -> client; a client's id -> how many use it.
        self._s3: dict[tuple[str, str, bool], Any] = {}
        self._users: dict[int, int] = {}
        self._urls: dict[str, str] = {}
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._tls: ssl.SSLContext | None = None

    def credentials(self) -> Any:
        """botocore's credentials object, None when none were found. Raises what botocore raises."""
        with self._lock:
            return self.session.get_credentials()

    def region(self) -> str:
        """The session's region, else AWS_REGION, "" when nothing names one."""
        return self.session.get_config_variable("region") or os.environ.get("AWS_REGION") or ""

    def take_s3(self, address: S3Address, region: str | None = None, endpoint_url: str | None = None) -> Any:
        """An S3 client for objects like this one, with short, explicit time-outs. Give it back with `give_s3`."""
        with self._lock:
            region = region or self.region() or address.region
            # Path style is only for an endpoint of one's own: AWS itself wants bucket host names, and an ARN has no path.
            path = not address.region and bool(endpoint_url or self._own_endpoint("s3"))
            key = (region, endpoint_url or "", path)
            if key not in self._s3:
                self._s3[key] = self._new_s3(region, endpoint_url, "path" if path else "auto")
            client = self._s3[key]
            self._users[id(client)] = self._users.get(id(client), 0) + 1
            return client

    def give_s3(self, client: Any) -> None:
        """It is used no longer by whoever took it. When nobody uses it, its connections are closed."""
        with self._lock:
            self._users[id(client)] -= 1
            if not self._users[id(client)]:
                client.close()  # the client itself can be used again

    def _new_s3(self, region: str, endpoint_url: str | None, style: Literal["auto", "path"]) -> Any:
        return self.session.create_client(
            "s3",
            region_name=region or None,
            endpoint_url=endpoint_url,
            config=Config(
                connect_timeout=S3_CONNECT_SECONDS,
                read_timeout=S3_READ_SECONDS,
                retries={"mode": "standard", "max_attempts": 2},
                max_pool_connections=S3_CONNECTIONS,
                s3={"addressing_style": style},
                user_agent_extra="kumo_serving",
            ),
        )

    def _own_endpoint(self, service: str) -> bool:
        """True when variables or the configuration file name an endpoint, as for a VPC endpoint or an emulator."""
        if self.session.get_config_variable("ignore_configured_endpoint_urls"):
            return False
        names = (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL")
        config = self.session.get_scoped_config()
        services = self.session.full_config.get("services", {}).get(config.get("services"), {})
        return bool(
            any(os.environ.get(name) for name in names)
            or services.get(service, {}).get("endpoint_url")
            or config.get("endpoint_url")
        )

    def dynamodb(self, region: str, endpoint_url: str | None = None) -> Endpoint:
        """The DynamoDB endpoint of a region ("" for the session's own). Raises Unavailable when there is none."""
        region = region or self.region()
        if not region:
            raise Unavailable(
                "find DynamoDB", found="neither the pointer nor the environment names a region", next="set AWS_REGION"
            )
        note = ""
        try:
            with self._lock:
                endpoint = self._endpoint(endpoint_url or self._url(region), region)
            note = endpoint.note
            if not endpoint.addresses:  # without the lock: a slow resolver holds up nobody else
                endpoint.resolve()
            return endpoint
        except (BotoCoreError, OSError, ValueError) as error:
            raise Unavailable(
                "find DynamoDB",
                to=f"in {region}",
                found=f"{type(error).__name__}: {error}{note}",
                next="check the region and, if one is set, the endpoint (AWS_ENDPOINT_URL_DYNAMODB)",
            ) from None

    def _endpoint(self, url: str, region: str) -> Endpoint:
        if (url, region) not in self._endpoints:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
                raise ValueError(f"{url!r} is no http:// or https:// address of a host alone")
            note = ""
            if parts.scheme in get_environ_proxies(url):
                log.warning(
                    "lookups go to %s directly: the proxy in this service's environment is not used for them", url
                )
                note = "; a proxy is set in this service's environment, but lookups never go through one"
            tls = self._context() if parts.scheme == "https" else None
            self._endpoints[url, region] = Endpoint(url, region, tls, note)
        return self._endpoints[url, region]

    def _url(self, region: str) -> str:
        if region not in self._urls:
            client = self.session.create_client("dynamodb", region_name=region)
            try:
                self._urls[region] = str(client.meta.endpoint_url)
            finally:
                client.close()
        return self._urls[region]

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            # botocore's own bundle unless AWS_CA_BUNDLE says otherwise: slim containers have no system certificates.
            bundle = self.session.get_config_variable("ca_bundle")
            self._tls = ssl.create_default_context(
                cafile=bundle or os.path.join(os.path.dirname(botocore.__file__), "cacert.pem")
            )
        return self._tls


def shared(session: Any = None) -> Shared:
    """What is shared by all readers that were given this session; None: by all that were given none.

    The latter is made anew when what configures AWS has changed (other variables, another file): readers that exist keep
    theirs.
    """
    with _process.lock:
        if session is not None:
            found = _process.given.get(id(session))
            if found is None:
                found = _process.given[id(session)] = Shared(session)
            return found
        configuration = _configuration()
        if _process.default is None or _process.default[0] != configuration:
            _process.default = configuration, Shared(_following())
        return _process.default[1]


def _following() -> Any:
    """A session whose credentials are always those that there are now."""
    session = _new_session()
    session.register_component("credential_provider", _Resolver(Followed(_new_session)))
    return session


class _Resolver:
    """In the place of botocore's chain of providers."""

    def __init__(self, credentials: Followed) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Followed:
        return self._credentials


def _new_session() -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", _models(session.get_config_variable("data_path")))
    # Every other AWS SDK reads AWS_REGION, and lets it win; botocore reads AWS_DEFAULT_REGION alone.
    # https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-envvars.html
    if os.environ.get("AWS_REGION"):
        session.set_config_variable("region", os.environ["AWS_REGION"])
    return session


@functools.cache
def _models(data_path: str | None) -> Loader:
    """botocore's reader of service models, which keeps what it has read: some 30 MB."""
    return create_loader(data_path)


def _configuration() -> object:
    """What a session is made of, without its credentials."""
    variables = [
        (name, value)
        for name, value in os.environ.items()
        if (name.startswith("AWS_") and name not in _CREDENTIALS) or name == "HOME" or name.lower().endswith("_proxy")
    ]
    return sorted(variables), stamp("AWS_CONFIG_FILE", "~/.aws/config")


class _Process:
    """What this process shares. Forgotten in a forked child, but for the models: there any lock may be held by a thread
    that is gone, and sockets are the parent's.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.lock = threading.Lock()
        self.default: tuple[object, Shared] | None = None
        # By the session's id, which is nobody else's as long as the value, which holds the session, is there.
        self.given: weakref.WeakValueDictionary[int, Shared] = weakref.WeakValueDictionary()


_process = _Process()
os.register_at_fork(after_in_child=_process.forget)
