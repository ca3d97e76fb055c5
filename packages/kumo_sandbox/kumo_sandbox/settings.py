"""Where the sandbox lives, on which ports, with which credentials; and the environment that points a user at it.

Kept in `<home>/settings.json`, made once; a second start finds the same credentials and ports.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kumo_sandbox.errors import SandboxError, SandboxUsage
from kumo_sandbox.processes import port_is_free

PARTS = ("aws", "snowflake", "kumo")
DEFAULT_PORTS = {"snowflake": 4650, "aws": 4651, "kumo": 4652, "ministack": 4653}
BUCKET = "kumo-assets-sandbox"
INTEGRATION = "KUMO_SANDBOX"
REGION = "us-east-1"
CONNECTOR = "sandbox_snowflake"


@dataclass(frozen=True)
class Settings:
    """One sandbox. Credentials are random per home: a wrong one must be refused, so a right one must exist."""

    home: Path
    ports: dict[str, int]
    access_key: str
    # Not for a traceback's eyes.
    secret_key: str = field(repr=False)
    snowflake_password: str = field(repr=False)
    kumo_key: str = field(repr=False)

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def url(self) -> dict[str, str]:
        return {part: f"http://127.0.0.1:{port}" for part, port in self.ports.items()}

    def environment(self) -> dict[str, str]:
        """Every variable of docs/architecture.md that differs from production."""
        return {
            "KUMO_ASSETS_ENV": "local",
            "KUMO_ASSETS_BUCKET": BUCKET,
            "KUMO_ASSETS_STORAGE_INTEGRATION": INTEGRATION,
            "KUMO_API_URL": f"{self.url['kumo']}/api",
            "KUMO_API_KEY": self.kumo_key,
            "KUMO_API_DIALECT": "sdk",
            "SNOWFLAKE_ACCOUNT": "sandbox",
            "SNOWFLAKE_USER": "KUMO_ASSETS",
            "SNOWFLAKE_PASSWORD": self.snowflake_password,
            "SNOWFLAKE_ROLE": "SYSADMIN",
            "SNOWFLAKE_WAREHOUSE": "SANDBOX",
            "SNOWFLAKE_DATABASE": "KUMO",
            "SNOWFLAKE_SCHEMA": "PUBLIC",
            "SNOWFLAKE_HOST": "127.0.0.1",
            "SNOWFLAKE_PORT": str(self.ports["snowflake"]),
            "SNOWFLAKE_PROTOCOL": "http",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.url["aws"],
            "AWS_EC2_METADATA_DISABLED": "true",
            # Loopback is never asked through a proxy of the machine.
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def part_environment(self, part: str) -> dict[str, str]:
        """What one part's process is told, beside the user's environment."""
        own = self.environment()
        if part == "snowflake":
            own["KUMO_SANDBOX_SNOWFLAKE_STATE"] = str(self.state / "snowflake")
        if part == "aws":
            own |= {
                "KUMO_SANDBOX_AWS_PORT": str(self.ports["aws"]),
                "KUMO_SANDBOX_MINISTACK_URL": self.url["ministack"],
                "KUMO_SANDBOX_AWS_STATE": str(self.state),
            }
        if part == "ministack":
            own |= {
                "GATEWAY_PORT": str(self.ports["ministack"]),
                # Else it listens on every interface, and MQTT on 8883 besides.
                "BIND_HOST": "127.0.0.1",
                "IOT_MTLS_ENABLED": "0",
                "PERSIST_STATE": "1",
                "S3_PERSIST": "1",
                "STATE_DIR": str(self.state / "ministack"),
                "S3_DATA_DIR": str(self.state / "s3"),
                "SERVICES": "s3,dynamodb,sts,logs",
                "LOG_LEVEL": "WARNING",
            }
        if part == "kumo":
            own |= {
                "KUMO_SANDBOX_KUMO_STATE": str(self.state / "kumo"),
                "KUMO_SANDBOX_API_KEY": self.kumo_key,
                "KUMO_SANDBOX_CONNECTOR": CONNECTOR,
            }
        return own


def default_home() -> Path:
    """`$KUMO_SANDBOX_HOME`, else `./.sandbox`."""
    return Path(os.environ.get("KUMO_SANDBOX_HOME", ".sandbox")).resolve()


def load(home: Path) -> Settings | None:
    """The settings of a sandbox that was started before; None for a new home."""
    path = home / "settings.json"
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text())
        return Settings(**{**kept, "home": home})
    except (ValueError, TypeError) as error:
        raise SandboxError(
            "read the sandbox's settings in",
            to=str(path),
            found=f"{type(error).__name__}: {error}",
            next=f"it holds this sandbox's ports and credentials; without it, remove {home} and start anew",
        ) from error


def make(home: Path, *, automatic_ports: bool = False) -> Settings:
    """The settings of this home, made and kept when it has none. Automatic ports are free ones of this moment."""
    found = load(home)
    if found is not None:
        return found
    ports: dict[str, int] = {}
    for part, port in DEFAULT_PORTS.items():
        ports[part] = free_port(ports.values()) if automatic_ports else _told_port(part, port)
    settings = Settings(
        home=home,
        ports=ports,
        access_key="AKIA" + secrets.token_hex(8).upper(),
        secret_key=secrets.token_urlsafe(30),
        snowflake_password=secrets.token_urlsafe(18),
        kumo_key=f"sandbox:{secrets.token_urlsafe(18)}",
    )
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not write_whole(home / "settings.json", json.dumps({**asdict(settings), "home": str(home)}, indent=2), True):
            return make(home)  # another start of this home came first
    except OSError as error:
        raise SandboxError(
            "make a sandbox in",
            to=str(home),
            found=error.strerror or str(error),
            next="free some disk, or choose another folder with KUMO_SANDBOX_HOME",
        ) from error
    return settings


def write_whole(path: Path, text: str, only_new: bool = False) -> bool:
    """Write a file whole or not at all, for its owner's eyes only; False when it is there already and must be new."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.touch(mode=0o600)
        part.write_text(text)
        if not only_new:
            part.replace(path)
            return True
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        return True
    finally:
        part.unlink(missing_ok=True)


def _told_port(part: str, default: int) -> int:
    variable = f"KUMO_SANDBOX_PORT_{part.upper()}"
    told = os.environ.get(variable, str(default))
    if not (told.isdecimal() and 0 < int(told) < 65536):
        raise SandboxUsage("choose the port in", to=variable, found=repr(told), next="give a number from 1 to 65535")
    return int(told)


def free_port(taken: Collection[int] = ()) -> int:
    """A port of the loopback interface nobody listens on now, and not one of `taken`.

    Below the range that Linux gives to outgoing connections (from 32768 on): one of those in the moment before our
    server starts would take the port away.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        if port not in taken and port_is_free(port):
            return port
