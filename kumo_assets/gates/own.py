"""A query's own gates: `gates/<name>.sql` or `gates/<name>.py` in its folder. Found here, and judged here.

A SQL file returns one row with PASSED, VALUE and MESSAGE; further columns become evidence. A Python file has
`check(release: Release) -> Outcome`, both from `outcome`. Whatever goes wrong inside one is that gate's error, never a
pass, and the other gates are still judged. The built-in gates are in `registry`.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kumo_serving.errors import KumoAssetsError

from kumo_assets.config.gates import OWN_GATE, GatesSpec, OwnGate
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.query import NOT_SHOWN
from kumo_assets.config.registration import AskedGate
from kumo_assets.errors import ConfigError
from kumo_assets.gates.against_baseline import BOOTSTRAP
from kumo_assets.gates.judgement import ABSOLUTE, Judgement, as_json, plain
from kumo_assets.gates.outcome import Outcome, Release
from kumo_assets.gates.registry import GATES
from kumo_assets.redaction import without_secrets
from kumo_assets.resources.sql import literal, quote
from kumo_assets.resources.template import check_sql, placeholders, read_sql, render

FOLDER = "gates"
# Placeholders of a SQL gate: tables, and what `schema_values` gives.
TABLES = ("predictions", "postprocessed", "active_predictions", "active_postprocessed")
FURTHER = ("database", "schema", "release", "top_k")


def own_gates(definition: QueryDefinition) -> dict[str, tuple[Path, OwnGate]]:
    """Name -> (file, settings) of the gates in the query's folder. Reads no file.

    Raises ConfigError for a bad or taken name, two files of one name, and settings of a gate that has no file.
    """
    folder = definition.folder / FOLDER
    settings = definition.spec.gates.own
    taken = {*GatesSpec.model_fields, *GATES}
    found: dict[str, tuple[Path, OwnGate]] = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.suffix not in (".sql", ".py") or path.name.startswith(("_", ".")):
            continue
        if not re.fullmatch(OWN_GATE, path.stem) or path.stem in taken or path.stem in found:
            raise ConfigError(
                "use the gate",
                to=str(path),
                found="its name is taken by another gate, or does not match " + OWN_GATE,
                next="rename the file",
            )
        found[path.stem] = (path, settings.get(path.stem, OwnGate()))
    unknown = sorted(settings.keys() - found.keys())
    if unknown:
        raise ConfigError(
            "read the definition",
            to=str(definition.folder / "defs.yaml"),
            found=f"attributes.gates.own names {', '.join(unknown)}, which has no file in {folder}",
            next=f"use some of: {', '.join(found) or '(there is none yet)'}",
        )
    return found


def gates_of(definition: QueryDefinition) -> dict[str, AskedGate]:
    """Gate -> {asset, mode} of every gate that judges a release of this query, as `opened.json` records them: the
    built-in ones and the query's own. The import's gate judges every release and is not recorded."""
    built_in = definition.spec.asked_gates
    own = {
        name: AskedGate(asset=settings.asset, mode=settings.mode)
        for name, (_, settings) in own_gates(definition).items()
        if settings.mode != "off"
    }
    return built_in | own


def check_own_gates(definition: QueryDefinition) -> None:
    """ConfigError as of `own_gates`, and for a SQL gate with an unknown placeholder, several statements, or nothing in it:
    such a gate would block every release. A gate that is off is not looked at. No network."""
    for path, settings in own_gates(definition).values():
        if path.suffix == ".sql" and settings.mode != "off":
            known = {*TABLES, *FURTHER, "partition"}
            if settings.asset == "predictions":
                known -= {"postprocessed"}
            check_sql(read_sql(path), str(path), known)


def judge_own(path: Path, release: Release, values: Mapping[str, str], show_entities: bool = True) -> Judgement:
    """The judgement of one gate. `values` are further placeholders of a SQL file. Never raises: what raises did not
    pass.

    Without `show_entities` only what the gate's author wrote as its message is kept: evidence, bars, and the text of an
    error, which may quote a row, are not.
    """
    try:
        judged = _judge_sql(path, release, values) if path.suffix == ".sql" else _judge_python(path, release)
        return judged if show_entities else replace(judged, evidence=_not_shown(judged.evidence), segment="", bars={})
    except BaseException as error:
        # Somebody else's code: whatever it raises is this gate's failure, `sys.exit` and a panic of a Rust library
        # included. Only a person who stops the run is none.
        if _is_interrupt(error):
            raise
        reason = _reason(error) if show_entities else f"{type(error).__name__}, its text {NOT_SHOWN}"
        return Judgement("error", f"{path.name} could not be judged: {' '.join(without_secrets(reason).split())[:500]}")


def _not_shown(evidence: Mapping[str, object]) -> dict[str, object]:
    return dict.fromkeys(evidence, NOT_SHOWN)


def _is_interrupt(error: BaseException) -> bool:
    """Ctrl-C, or Dagster ending the run."""
    from dagster._core.errors import DagsterExecutionInterruptedError

    return isinstance(error, KeyboardInterrupt | DagsterExecutionInterruptedError)


def _reason(error: BaseException) -> str:
    if isinstance(error, KumoAssetsError):
        return str(error)
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an error whose text cannot be made
        return type(error).__name__


def _judge_sql(path: Path, release: Release, values: Mapping[str, str]) -> Judgement:
    text = read_sql(path)
    tables = {
        "predictions": release.predictions,
        "postprocessed": release.postprocessed,
        "active_predictions": release.active_predictions,
        "active_postprocessed": release.active_postprocessed,
    }
    given = {name: value for name, value in tables.items() if value is not None}
    if any(name.startswith("active_") for name in placeholders(text) & (tables.keys() - given.keys())):
        return Judgement("ok", "no active release to compare with (bootstrap)", None, {}, BOOTSTRAP)
    sql = render(text, str(path), **given, **values, partition=literal(release.partition))
    found = release.rows(sql)
    if len(found) != 1:
        raise ValueError(f"it returned {len(found)} rows; a gate returns one: PASSED, VALUE, MESSAGE")
    row = {name.upper(): value for name, value in found[0].items()}
    missing = [name for name in ("PASSED", "VALUE", "MESSAGE") if name not in row]
    if missing:
        raise ValueError(f"it returned no column {', '.join(missing)}; a gate returns PASSED, VALUE, MESSAGE")
    passed, value, message = (row.pop(name) for name in ("PASSED", "VALUE", "MESSAGE"))
    if not isinstance(passed, bool):
        raise TypeError(f"PASSED is {passed!r}, not true or false")
    evidence = {name.lower(): value if isinstance(value, int | float) else str(value) for name, value in row.items()}
    return _judgement(Outcome(passed, None if value is None else float(value), str(message or ""), evidence=evidence))


def _judge_python(path: Path, release: Release) -> Judgement:
    # Not kept in sys.modules: two queries may each have a gate of one name, and a fixed file is read again.
    spec = importlib.util.spec_from_file_location(f"kumo_assets_own_gate_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outcome = module.check(release)
    if not isinstance(outcome, Outcome):
        raise TypeError(f"check() returned {type(outcome).__name__}; a gate returns kumo_assets.gates.Outcome")
    passed = plain(outcome.passed)
    if not isinstance(passed, bool):
        raise TypeError(
            f"check() returned an Outcome whose `passed` is {outcome.passed!r}; "
            "a gate returns kumo_assets.gates.Outcome with true or false"
        )
    return _judgement(replace(outcome, passed=passed))


def _judgement(outcome: Outcome) -> Judgement:
    """The judgement of an outcome, in plain values. Raises where one cannot be stored as JSON."""
    message, segment = str(outcome.message), str(outcome.segment)
    evidence = as_json(outcome.evidence)
    bars = {str(name): _bar(pair) for name, pair in outcome.bars.items()}
    json.dumps([message, segment, evidence, list(bars)], ensure_ascii=False).encode()
    return Judgement(
        "ok" if outcome.passed else "warn" if outcome.warn else "error",
        without_secrets(message) or ("passed" if outcome.passed else "did not pass, and said no more"),
        None if outcome.value is None else float(outcome.value),
        {},
        ABSOLUTE,
        evidence,
        segment,
        bars,
    )


def _bar(pair: tuple[float | None, float]) -> tuple[float | None, float]:
    before, now = pair
    return (None if before is None else float(before), float(now))


def schema_values(database: str, schema: str, release_id: str, top_k: int) -> dict[str, str]:
    """Placeholders of a SQL gate besides its tables: `database`, `schema`, `release`, `top_k`."""
    return {
        "database": quote(database),
        "schema": quote(schema),
        "release": literal(release_id),
        "top_k": str(top_k),
    }
