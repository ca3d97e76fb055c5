"""The statements that count one release at one age, at most three, and their answers as figures. Only aggregates are
fetched: sums over entities, ten bins, two counts.

Each task has a relation of one row per entity, in which the release is `O`, its fallback `P` and the release before `B`;
the differences are taken in it, entity by entity. The SQL is in `sql/`, the formulas in `formulas`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kumo_assets.config.tasks import Task
from kumo_assets.documents import CalibrationRow, Figure
from kumo_assets.outcomes.formulas import (
    LEAST_PROBABILITY,
    Estimate,
    Moments,
    area_difference,
    area_under_curve,
    calibration,
    ideal_gain,
    mean,
    root_mean,
)
from kumo_assets.outcomes.text import shipped
from kumo_assets.resources.sql import literal

_WHOLE = re.compile(r"-?[0-9]{1,38}")

# Runs one statement.
Rows = Callable[[str], Sequence[Mapping[str, Any]]]

OWN, FALLBACK, BEFORE = "O", "P", "B"
RIVALS = {FALLBACK: "fallback", BEFORE: "before"}

# Task -> column stem -> the figure's name.
FIGURES: dict[Task, dict[str, str]] = {
    "ranking": {
        "HITS": "mean_hits",
        "HIT": "hit_rate",
        "RECALL": "recall",
        "NDCG": "ndcg",
        "RR": "reciprocal_rank",
    },
    "regression": {"ABS": "mean_absolute_error", "SQ": "mean_squared_error", "ERR": "bias"},
    "binary_classification": {"LOSS": "log_loss", "BRIER": "brier"},
    "multiclass_classification": {"HIT": "accuracy", "LOSS": "log_loss"},
}


@dataclass(frozen=True)
class Compared:
    """What one release is compared with at one age; every name is quoted SQL.

    `served` is the release's sample and `before` that of the release before ("" without one), both with the rows of the
    entities that count. `happened` is a SELECT of ENTITY, CLASS (ranking) or ENTITY, VALUE; `catalogue` one of CLASS.
    `fallback` are the classes that everybody would get, best first. ENTITY and CLASS are compared as text unless `alike`
    says that their types are the same on all sides; `numbers` that classes are then NUMBERs. `sampled` says that only some
    of the entities are in the sample.
    """

    task: Task
    top_k: int
    served: str
    happened: str
    before: str = ""
    catalogue: str = ""
    fallback: tuple[str, ...] = ()
    alike: bool = False
    numbers: bool = False
    sampled: bool = True


@dataclass
class Counted:
    """The figures of the release, those of each rival and the paired differences, by name. `entities` have been judged,
    `active` of them have an event or a value. `repeated` says that an entity came back twice: nothing is to be believed."""

    entities: int
    active: int
    repeated: bool = False
    figures: dict[str, Figure] = field(default_factory=dict)
    rivals: dict[str, dict[str, Figure]] = field(default_factory=dict)
    differences: dict[str, dict[str, Figure]] = field(default_factory=dict)
    calibration: list[CalibrationRow] = field(default_factory=list)


def count(rows: Rows, compared: Compared) -> Counted:
    """Count one release at one age."""
    stems = FIGURES[compared.task]
    if compared.task == "ranking":
        found = rows(_ranking(compared))[0]
    else:
        entities = _entities(compared)
        found = rows(
            shipped("sums.sql", entities=entities, figures=_listed(_figures_of(compared.task)), moments=_moments(stems))
        )[0]
    counted = Counted(int(found["ENTITY_COUNT"]), int(found["ACTIVE"]))
    counted.repeated = compared.task != "ranking" and counted.active != counted.entities
    for stem, name in stems.items():
        _put(counted, name, {side: mean(Moments.of_row(found, f"{side}_{stem}")) for side in _sides()})
    if compared.task == "ranking" and compared.catalogue:
        _add_catalogue(rows, compared, counted)
    if compared.task == "regression":
        roots = {side: root_mean(Moments.of_row(found, f"{side}_SQ")) for side in (OWN, FALLBACK, BEFORE)}
        _put(counted, "root_mean_squared_error", roots)
    if compared.task in ("regression", "binary_classification"):
        bins = calibration(rows(shipped("calibration.sql", entities=entities)))
        counted.calibration = [CalibrationRow(**vars(one)) for one in bins]
    if compared.task == "binary_classification":
        _add_area(rows, entities, counted)
    return counted


def _put(counted: Counted, name: str, found: Mapping[str, Estimate | None]) -> None:
    """Put estimates by side (`O`, `P`, `B`, and `DP`, `DB` for the differences) where they belong."""
    for side, estimate in found.items():
        if estimate is None:
            continue
        figure = Figure(**vars(estimate))
        if side == OWN:
            counted.figures[name] = figure
        elif side in RIVALS:
            counted.rivals.setdefault(RIVALS[side], {})[name] = figure
        else:
            counted.differences.setdefault(RIVALS[side[1:]], {})[name] = figure


def _sides() -> Iterator[str]:
    yield OWN
    for rival in RIVALS:
        yield rival
        yield f"D{rival}"


def _moments(stems: Mapping[str, str]) -> str:
    """SQL of count, sum and sum of squares, for each figure of each side and each paired difference."""
    return ",\n    ".join(
        _three(f"{side}_{stem}" if side[0] != "D" else f"({OWN}_{stem} - {side[1:]}_{stem})", f"{side}_{stem}")
        for stem in stems
        for side in _sides()
    )


def _three(value: str, name: str) -> str:
    return f"COUNT({value}) AS {name}_N, SUM({value}) AS {name}_S, SUM({value} * {value}) AS {name}_Q"


def _listed(figures: Mapping[str, str]) -> str:
    return ",\n        ".join(f"{value} AS {name}" for name, value in figures.items())


def _figures_of(task: Task) -> dict[str, str]:
    """Column -> SQL over the columns of the task's relation."""
    found: dict[str, str] = {}
    for side in (OWN, *RIVALS):
        if task == "ranking":
            hits = f"{side}_HITS"
            found[f"{side}_HIT"] = f"IFF({hits} IS NULL, NULL, IFF({hits} > 0, 1, 0))"
            found[f"{side}_RECALL"] = f"IFF(RELEVANT > 0, {hits}::FLOAT / RELEVANT, NULL)"
            found[f"{side}_NDCG"] = f"IFF(RELEVANT > 0, {side}_GAIN / IDEAL, NULL)"
            found[f"{side}_RR"] = f"IFF({hits} IS NULL, NULL, COALESCE(1::FLOAT / {side}_BEST, 0))"
        elif task == "regression":
            error = f"({side} - Y)"
            found[f"{side}_ABS"], found[f"{side}_SQ"] = f"ABS({error})", f"{error} * {error}"
            found[f"{side}_ERR"] = error
        elif task == "binary_classification":
            found[f"{side}_LOSS"] = _log_loss(f"IFF(Y = 1, {side}, 1 - {side})")
            found[f"{side}_BRIER"] = f"({side} - Y) * ({side} - Y)"
        else:
            found[f"{side}_LOSS"] = _log_loss(f"{side}_Q")
    own = dict.fromkeys([f"{side}_HITS" for side in (OWN, *RIVALS)]) if task == "ranking" else {}
    if task == "multiclass_classification":
        own = dict.fromkeys([f"{side}_HIT" for side in (OWN, *RIVALS)])
    return {**{name: name for name in own}, **found}


def _log_loss(probability: str) -> str:
    """-ln of a probability; it is clipped, and what is NULL stays it."""
    return f"-LN(GREATEST(LEAST({probability}, 1), {LEAST_PROBABILITY!r}))"


def _before(compared: Compared) -> str:
    """What the release before served; without one, no row of the same columns."""
    return compared.before or f"(SELECT * FROM {compared.served} WHERE 1 = 0)"  # noqa: S608 - quoted


def _ranking(compared: Compared) -> str:
    columns = {"entity": "ENTITY", "class": "CLASS"}
    spelt = {key: column if compared.alike else f"TO_VARCHAR({column})" for key, column in columns.items()}
    happened = compared.happened
    if not compared.alike:
        happened = f"SELECT TO_VARCHAR(ENTITY) AS ENTITY, TO_VARCHAR(CLASS) AS CLASS FROM ({happened}) V"  # noqa: S608
    most = range(1, compared.top_k + 1)
    ideal = " ".join(f"WHEN {hits} THEN {ideal_gain(hits)!r}" for hits in most)
    return shipped(
        "ranking.sql",
        served=compared.served,
        before=_before(compared),
        happened=happened,
        top_k=str(compared.top_k),
        # Of many events those of other entities are left out before they are sorted.
        only_sampled=" AND ENTITY IN (SELECT ENTITY FROM S)" if compared.sampled else "",
        fallback=_fallback(compared.fallback[: compared.top_k], numbers=compared.alike and compared.numbers),
        if_fallback=f"IFF({1 if compared.fallback else 0} = 1,",
        ideal=f"CASE LEAST(COALESCE(P.RELEVANT, 0), {compared.top_k}) {ideal} END",
        figures=_listed(_figures_of("ranking")),
        moments=_moments(FIGURES["ranking"]),
        **spelt,
    )


def _fallback(classes: Sequence[str], *, numbers: bool) -> str:
    """SELECT of CLASS, RANK; of no row for no classes. `numbers` where the other side's classes are NUMBERs."""
    ranked = [(name, rank) for rank, name in enumerate(classes, 1) if not numbers or _WHOLE.fullmatch(name)]
    if not ranked:
        none = "0" if numbers else "''"
        return f"SELECT CLASS, RANK FROM (SELECT {none} AS CLASS, 0 AS RANK) V WHERE 1 = 0"  # noqa: S608
    return " UNION ALL ".join(
        f"SELECT {name if numbers else literal(name)} AS CLASS, {rank} AS RANK" for name, rank in ranked
    )


def _entities(compared: Compared) -> str:
    file = {
        "regression": "regression_entities.sql",
        "binary_classification": "binary_entities.sql",
        "multiclass_classification": "multiclass_entities.sql",
    }[compared.task]
    return shipped(file, served=compared.served, before=_before(compared), happened=compared.happened)


def _add_catalogue(rows: Rows, compared: Compared, counted: Counted) -> None:
    found = rows(
        shipped("catalogue.sql", catalogue=compared.catalogue, served=compared.served, top_k=str(compared.top_k))
    )[0]
    if found["CATALOGUE"]:
        counted.figures["catalogue_shown"] = Figure(value=int(found["SHOWN"]) / int(found["CATALOGUE"]))


def _add_area(rows: Rows, entities: str, counted: Counted) -> None:
    names = ("O", "B", "D")
    sums = {
        int(row["Y"]): {name: Moments.of_row(row, name) for name in names}
        for row in rows(shipped("area.sql", entities=entities, moments=", ".join(_three(name, name) for name in names)))
    }
    if len(sums) < 2:
        return
    own = area_under_curve(sums[1][OWN], sums[0][OWN])
    if own is None:
        return
    # A number that everybody gets orders nobody: its area is a half.
    half = Estimate(0.5, 0.0, own.entities)
    against_half = Estimate(own.value - 0.5, own.standard_error, own.entities)
    before, difference = area_under_curve(sums[1][BEFORE], sums[0][BEFORE]), area_difference(sums[1]["D"], sums[0]["D"])
    _put(
        counted,
        "auc",
        {OWN: own, BEFORE: before, FALLBACK: half, f"D{BEFORE}": difference, f"D{FALLBACK}": against_half},
    )
