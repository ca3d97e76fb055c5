"""A query as code: running its `training.py` through the vendor's SDK, and reporting what differs from the tenant.

Nothing else needs the SDK (`pip install kumo-assets[kumoai]`). Where it must not be installed beside our own libraries,
KUMO_SDK_PYTHON names the Python that has it. What runs there is `sdk_program.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypedDict

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.auth import Auth
from kumo_assets.resources.kumo.errors import KumoRefused
from kumo_assets.resources.kumo.replies import words

PROGRAM = Path(__file__).with_name("sdk_program.py")
FILE = "training.py"
MOST_SECONDS = 1800.0


class QueryGraph(TypedDict):
    """A query as `sdk_program.canonical` writes it: its PQL, its tables by name, and the columns that each link joins."""

    query: str
    tables: dict[str, GraphTable]
    links: list[list[list[str]]]


class GraphTable(TypedDict):
    """A table of the graph. Beside its columns it has fields that are only compared."""

    cols: list[GraphColumn]


class GraphColumn(TypedDict):
    """A column of a table. Beside its name it has fields that are only compared."""

    name: str


class Report(TypedDict, total=False):
    """What `sdk_program.py` prints: `error` and `line`, or the definitions; after a save also the ids, task and plan."""

    error: str
    line: int | None
    digest: str
    local: QueryGraph
    tenant: QueryGraph | None
    query_id: str
    graph_id: str
    task: str
    plan: dict[str, object]


@dataclass(frozen=True)
class QueryCode:
    """What `training.py` says and what the tenant has. `digest` is of the definition; `plan` and ids after a save only."""

    digest: str
    local: QueryGraph
    tenant: QueryGraph | None
    query_id: str = ""
    graph_id: str = ""
    task: str = ""
    plan: dict[str, object] = field(default_factory=dict)

    @property
    def differences(self) -> list[str]:
        """How the tenant's definition differs from the repository's, as sentences; empty when it does not."""
        if self.tenant is None:
            return ["the tenant has no such query"]
        return _differences(self.tenant, self.local)


def sdk_is_there(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the Python that would run `training.py` has the vendor's SDK."""
    source = os.environ if environ is None else environ
    if not source.get("KUMO_SDK_PYTHON"):
        return find_spec("kumoai") is not None
    try:
        return (
            subprocess.run(
                [
                    source["KUMO_SDK_PYTHON"],
                    "-c",
                    "import importlib.util, sys; sys.exit(not importlib.util.find_spec('kumoai'))",
                ],
                capture_output=True,
                timeout=60,
            ).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def run_code(
    action: Literal["describe", "save"],
    file: Path,
    query_id: str,
    *,
    view: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> QueryCode:
    """Run a query's `training.py`; with `save`, also put its graph and query into the tenant (the same twice is once).

    Raises ConfigError when there is no SDK or no key, KumoRefused with the file's or Kumo's own message.
    """
    source = dict(os.environ if environ is None else environ)
    auth = _auth(source, file)
    asked = {
        "url": source["KUMO_API_URL"].strip().rstrip("/").removesuffix("/v1"),
        "query_id": query_id,
        "view": view,
        "group": source.get("KUMO_GROUP_ID", ""),
        "project": source.get("KUMO_PROJECT_ID") or source.get("KUMO_PROJECT", ""),
        "dialect": source.get("KUMO_API_DIALECT", "sdk"),
    }
    python = source.get("KUMO_SDK_PYTHON") or sys.executable
    try:
        done = subprocess.run(
            [python, str(PROGRAM), action, str(file)],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            # Only what the program and an SDK need: no other system's secrets reach a user's file.
            env={
                name: value
                for name, value in source.items()
                if name.startswith(
                    ("KUMO_", "LC_", "SSL_", "REQUESTS_", "HTTP", "NO_PROXY", "https_", "http_", "no_proxy")
                )
                or name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
            },
        )
    except OSError as error:
        raise ConfigError("run", to=python, found=str(error), next="correct KUMO_SDK_PYTHON") from error
    except subprocess.TimeoutExpired:
        raise KumoRefused(
            f"{action} the query of", to=str(file), found="it took longer than half an hour", next="run it again"
        ) from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("REPORT ")]
    if done.returncode != 0 or len(lines) != 1:
        raise ConfigError(
            "run the vendor's SDK for",
            to=str(file),
            found=auth.hide(words((done.stderr or done.stdout).strip()[-400:])) or f"it ended with {done.returncode}",
            next=f"try `{python} -c 'import kumoai'`; install the extra: pip install 'kumo-assets[kumoai]', or set "
            "KUMO_SDK_PYTHON to a Python that has kumoai",
        )
    return _report(action, file, json.loads(lines[0].removeprefix("REPORT ")), auth, python)


def _report(action: str, file: Path, report: Report, auth: Auth, python: str) -> QueryCode:
    if "error" in report:
        missing = report["error"].startswith("ModuleNotFoundError: No module named 'kumo")
        where = f", line {report['line']}" if report.get("line") else ""
        found = auth.hide(words(report["error"])[:800])
        if missing:
            raise ConfigError(
                "run the vendor's SDK for",
                to=str(file),
                found=f"{found} ({python})",
                next="pip install 'kumo-assets[kumoai]', or set KUMO_SDK_PYTHON to a Python that has kumoai",
            )
        raise KumoRefused(
            f"{action} the query of", to=f"{file}{where}", found=found, next="fix the file, or what Kumo names"
        )
    return QueryCode(
        digest=report["digest"],
        local=report["local"],
        tenant=report["tenant"],
        query_id=report.get("query_id", ""),
        graph_id=report.get("graph_id", ""),
        task=report.get("task", ""),
        plan=report.get("plan", {}),
    )


def _auth(source: Mapping[str, str], file: Path) -> Auth:
    if not source.get("KUMO_API_KEY") or not source.get("KUMO_API_URL"):
        raise ConfigError(
            "run",
            to=str(file),
            found="KUMO_API_URL or KUMO_API_KEY is not set (the vendor's SDK takes no token file)",
            next="set both",
        )
    return Auth(source["KUMO_API_KEY"])


def _differences(tenant: QueryGraph, local: QueryGraph) -> list[str]:
    found = []
    if tenant["query"] != local["query"]:
        found.append(f"the query: {tenant['query']!r} in the tenant, {local['query']!r} in the repository")
    for name in sorted(tenant["tables"].keys() | local["tables"].keys()):
        theirs, ours = tenant["tables"].get(name), local["tables"].get(name)
        if theirs is None or ours is None:
            found.append(f"table {name} is only in the {'repository' if theirs is None else 'tenant'}")
        elif theirs != ours:
            found.append(f"table {name}: {_table_differences(theirs, ours)}")
    if tenant["links"] != local["links"]:
        found.append("the links between tables")
    return found


def _table_differences(theirs: GraphTable, ours: GraphTable) -> str:
    columns = {side["name"]: side for side in theirs["cols"]}, {side["name"]: side for side in ours["cols"]}
    changed = [
        f"column {name} {'changed' if name in columns[0] and name in columns[1] else 'only in one of them'}"
        for name in sorted(columns[0].keys() | columns[1].keys())
        if columns[0].get(name) != columns[1].get(name)
    ]
    changed += [
        name for name in sorted(theirs.keys() | ours.keys()) if name != "cols" and theirs.get(name) != ours.get(name)
    ]
    return ", ".join(changed)
