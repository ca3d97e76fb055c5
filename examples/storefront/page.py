"""What the home page shows, decided from a lookup's outcome without any I/O: products, and how fresh the list is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from kumo_serving import Answer, FallbackAnswer, Health, Miss, Result, Scored
from kumo_serving.items import Predictions

SHOWN = 5
POPULAR = 8
SUGGESTED = 400

# Which drawing stands for a product: the first whose words occur in its name, else the one of its department.
_BY_NAME = (
    ("milk", ("milk", "cream", "yogurt")),
    ("cheese", ("cheese", "cheddar")),
    ("egg", ("egg",)),
    ("bread", ("bread", "bun", "roll", "bagel", "muffin", "tortilla")),
    ("can", ("soft drink", "beer", "soda", "water", "drink", "juice", "tea", "coffee")),
    ("banana", ("banana", "plantain")),
    ("fruit", ("berr", "apple", "grape", "fruit", "orange", "peach", "melon")),
    ("snack", ("chip", "cookie", "cracker", "candy", "chocolate", "popcorn", "snack", "ice cream")),
    ("tin", ("soup", "canned", "sauce", "beans", "tuna", "pasta", "cat food", "dog food")),
    ("paper", ("cards", "newspaper", "magazine", "paper")),
)
_BY_DEPARTMENT = {
    "Produce": "leaf",
    "Meat": "meat",
    "Packaged meat": "meat",
    "Seafood": "meat",
    "Packaged seafood": "meat",
    "Deli": "cheese",
    "Pastry": "bread",
    "Household": "bottle",
    "Cosmetics": "bottle",
    "Nutrition": "leaf",
    "Floral": "leaf",
    "Salad bar": "leaf",
    "Fuel": "pump",
    "Spirits": "can",
    "Frozen grocery": "snack",
}


@dataclass(frozen=True)
class Item:
    """One product on the page."""

    id: str
    name: str
    department: str
    size: str
    icon: str


@dataclass(frozen=True)
class Catalogue:
    """Names of everything in the shop, and the households there are, as the demo exports them."""

    products: dict[str, tuple[str, str, str]]
    households: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Catalogue:
        """From the exported JSON file; an absent one means products go by their numbers."""
        if not path.is_file():
            return cls({})
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls({key: tuple(value) for key, value in document["products"].items()}, document["entities"])

    @property
    def first_household(self) -> str:
        return self.households[0] if self.households else "1"

    @property
    def suggestions(self) -> list[str]:
        return self.households[:SUGGESTED]

    def any_household(self) -> str:
        return random.choice(self.households) if self.households else "1"

    def items(self, scored: Iterable[Scored], most: int) -> list[Item]:
        return [self.item(name) for name, _ in list(scored)[:most]]

    def item(self, product: str) -> Item:
        name, department, size = self.products.get(product, (f"Product {product}", "", ""))
        return Item(product, name, department, size, _icon(name, department))


@dataclass(frozen=True)
class Page:
    """`kind`: the household's own list; everybody's, for a household not known; or none could be had just now."""

    household: str
    kind: Literal["own", "unknown", "unavailable"]
    items: list[Item]
    popular: list[Item]
    release_id: str
    logs_until: str
    live_for: str
    checked: str
    stale: bool
    version: str
    staged: Staged | None = None


@dataclass(frozen=True)
class Staged:
    """What the release that waits for approval would show the same household; `note` says why it has nothing to show."""

    items: list[Item]
    release_id: str = ""
    logs_until: str = ""
    note: str = ""


def staged(result: Result, catalogue: Catalogue) -> Staged:
    """The other half of a page that shows both, for an answer or a miss of the staged release."""
    items = catalogue.items(_list(result.predictions), SHOWN) if isinstance(result, Answer) else []
    note = "" if items else "It has no list for this household."
    return Staged(items, result.release_id, _day(result.partition), note)


def build(
    household: str,
    result: Result,
    fallback: Predictions | None,
    health: Health,
    catalogue: Catalogue,
    now: datetime,
) -> Page:
    """The page for an answer, a miss or a fallback."""
    own = catalogue.items(_list(result.predictions), SHOWN) if isinstance(result, Answer) else []
    everybody = _list(result.predictions) if isinstance(result, FallbackAnswer) else _list(fallback)
    kind: Literal["own", "unknown", "unavailable"] = "own"
    if isinstance(result, Miss):
        kind = "unknown"
    elif isinstance(result, FallbackAnswer):
        kind = "unavailable"
    items = own or catalogue.items(everybody, SHOWN)
    rest = _others(catalogue.items(everybody, len(everybody)), items)
    return Page(
        household=household,
        kind=kind,
        items=items,
        popular=rest,
        release_id=result.release_id,
        logs_until=_day(result.partition),
        live_for=_since(result.source.promoted_at, now),
        checked=_ago(result.pointer_age_seconds),
        stale=health.state != "fresh",
        version=_version(health),
    )


def unknown(household: str, fallback: Predictions | None, health: Health, catalogue: Catalogue, now: datetime) -> Page:
    """The page when a lookup raised: everybody's list if there is one, and no claim that it is the household's."""
    everybody = catalogue.items(_list(fallback), len(_list(fallback)))
    return Page(
        household=household,
        kind="unavailable",
        items=everybody[:SHOWN],
        popular=_others(everybody[SHOWN:], everybody[:SHOWN]),
        release_id=health.release_id,
        logs_until=_day(health.partition),
        live_for="",
        checked=_ago(health.pointer_age_seconds) if health.pointer_age_seconds is not None else "never",
        stale=health.state != "fresh",
        version=_version(health),
    )


def state(health: Health, promoted_at: str, now: datetime) -> dict[str, str]:
    """What an open page is told every other second: when to draw itself again, and the ages it shows."""
    age = health.pointer_age_seconds
    return {
        "version": _version(health),
        "live_for": _since(promoted_at, now),
        "checked": _ago(age) if age is not None else "never",
    }


def _others(candidates: list[Item], shown: list[Item]) -> list[Item]:
    """Some more items, each name once: the catalogue has many articles of one name."""
    names = {item.name for item in shown}
    found = []
    for item in candidates:
        if item.name not in names:
            names.add(item.name)
            found.append(item)
    return found[:POPULAR]


def _version(health: Health) -> str:
    return f"{health.release_id}.{health.generation}.{health.state}"


def _list(predictions: Predictions | None) -> tuple[Scored, ...]:
    return predictions if isinstance(predictions, tuple) else ()


def _icon(name: str, department: str) -> str:
    text = name.lower()
    for icon, words in _BY_NAME:
        if any(word in text for word in words):
            return icon
    return _BY_DEPARTMENT.get(department, "basket")


def _day(partition: str) -> str:
    """'2017-11-30' -> '30 November 2017'."""
    try:
        day = date.fromisoformat(partition)
    except ValueError:
        return partition
    return f"{day.day} {day:%B %Y}"


def _since(moment: str, now: datetime) -> str:
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return ""
    return _seconds((now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds())


def _ago(seconds: float) -> str:
    return "just now" if seconds < 2 else f"{_seconds(seconds)} ago"


def _seconds(seconds: float) -> str:
    """A length of time as a person says it."""
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {word}{'s' if count > 1 else ''}"
    count = max(0, int(seconds))
    return f"{count} second{'s' if count != 1 else ''}"
