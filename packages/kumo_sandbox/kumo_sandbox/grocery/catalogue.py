"""What items are called: read from the log's own item table, once, for a person to look at.

The demo prints these names and the storefront loads the file written here when it starts; neither asks Snowflake for a
name while somebody waits.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from kumo_sandbox.grocery.log import EventLog, quoted

MOST_ENTITIES = 10_000

# Words of the tills' shorthand that do not read well in a shop window.
_SHORTHAND = {
    "BTL": "bottle",
    "CARB": "carbonated",
    "CHS": "cheese",
    "CHOC": "chocolate",
    "DRNK": "drink",
    "DRNKS": "drinks",
    "FRSH": "fresh",
    "FRZN": "frozen",
    "INCL": "incl.",
    "PKG": "pack",
    "PK": "pack",
    "PKT": "packet",
    "SFT": "soft",
    "SGL": "single",
    "SNGL": "single",
    "SRV": "serve",
    "VEG": "vegetables",
}
# Types that are one adjective, and the few best sellers whose cut-off till text no shop would show.
_VAGUE = {
    "PRIMAL",
    "ENHANCED",
    "PREMIUM",
    "LEAN",
    "TRADITIONAL",
    "MAINSTREAM",
    "ECONOMY",
    "NATURAL",
    "SELECT",
    "REGULAR",
}
_LABELS = {
    "BEERALEMALT LIQUORS": "Beer and ale",
    "CANDY BARS (SINGLES)(INCLUDING": "Candy bar",
    "CANNED CAT FOOD (9 LIVES/FRISK": "Canned cat food",
    "CHOICE BEEF": "Beef, choice cut",
    "DAIRY CASE 100% PURE JUICE - O": "Pure orange juice",
    "FLUID MILK WHITE ONLY": "Fresh milk",
    "GASOLINE-REG UNLEADED": "Gasoline, regular unleaded",
    "IWS SINGLE CHEESE": "Cheese slices",
    "MAINSTREAM WHEAT/MULTIGRAIN BR": "Wheat and multigrain bread",
    "MAINSTREAM WHITE BREAD": "White bread",
    "SFT DRNK 2 LITER BTL CARB INCL": "Soft drink, large bottle",
    "SFT DRNK SNGL SRV BTL CARB (EX": "Soft drink, single bottle",
    "SHREDDED CHEESE": "Shredded cheese",
    "SOFT DRINKS 12/18&15PK CAN CAR": "Soft drink, multipack cans",
    "YOGURT NOT MULTI-PACKS": "Yogurt",
}
_UNITS = {"ga": "gal", "dz": "dozen", "ct": "count", "lt": "L", "l": "L", "pt": "pint", "qt": "quart"}
_DEPARTMENTS = {"DRUG GM": "Household", "MEAT-PCKGD": "Packaged meat", "SEAFOOD-PCKGD": "Packaged seafood"}


class Product(NamedTuple):
    """One item as a shop would label it. `size` and `department` are "" when unknown."""

    name: str
    department: str
    size: str


def catalogue(log: EventLog) -> dict[str, Product]:
    """Every item of the log by its id (as text, as predictions carry it)."""
    columns = {column.name for column in log.items.columns}
    if "PRODUCT_TYPE" not in columns:
        rows = log.database.execute(f"SELECT {quoted(log.item)}, {quoted(log.item_name)} FROM items").fetchall()
        return {str(item): Product(str(name), "", "") for item, name in rows}
    rows = log.database.execute(
        "SELECT PRODUCT_ID, PRODUCT_TYPE, PRODUCT_CATEGORY, DEPARTMENT, PACKAGE_SIZE FROM items"
    ).fetchall()
    return {
        str(item): Product(
            shop_name(kind, category, department),
            _DEPARTMENTS.get(department or "", readable(department or "")),
            _size(size, department),
        )
        for item, kind, category, department, size in rows
    }


def busiest_entities(log: EventLog, most: int = MOST_ENTITIES) -> list[str]:
    """Entities (as text) by falling number of events."""
    rows = log.database.execute(
        f"SELECT {quoted(log.entity)}::VARCHAR AS e FROM events GROUP BY 1 ORDER BY COUNT(*) DESC, e LIMIT $most",
        {"most": most},
    ).fetchall()
    return [row[0] for row in rows]


def write_catalogue(log: EventLog, path: Path) -> Path:
    """The file a shop window needs, replaced in one step: `{products: {id: [name, department, size]}, entities: [id]}`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    document = {"products": catalogue(log), "entities": busiest_entities(log)}
    draft.write_text(json.dumps(document, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")
    draft.replace(path)
    return path


def shop_name(kind: str | None, category: str | None, department: str | None) -> str:
    """A product's type where that says enough by itself; with its category ("Ice cream: premium") where it does not."""
    if kind in _LABELS:
        return _LABELS[kind]
    if kind and category and kind in _VAGUE:
        return f"{readable(category)}: {readable(kind).lower()}"
    return readable(kind or category or department or "Product")


def readable(till: str) -> str:
    """'SFT DRNK 2 LITER BTL CARB INCL' -> 'Soft drink 2 liter bottle carbonated incl.'."""
    words = [_SHORTHAND.get(word, word.lower()) for word in re.sub(r"\s*([:/&])\s*", r" \1 ", till.upper()).split()]
    text = " ".join(words).replace(" / ", "/").replace(" :", ":").replace(" - ", ", ")
    # The tills cut names at 30 characters, often inside a bracket.
    if text.count("(") > text.count(")"):
        text = text[: text.rindex("(")].rstrip(" ,-")
    return text[:1].upper() + text[1:]


def _size(size: str | None, department: str | None) -> str:
    """'1 GA' -> '1 gal'. A bare 'EA' tells a shopper nothing, and neither does the crate that fruit arrives in."""
    found = re.search(r"([\d.][\d./-]*)\s*([a-z]+)$", (size or "").strip().lower())
    if department == "PRODUCE" or found is None:
        return ""
    return f"{found[1]} {_UNITS.get(found[2], found[2])}"
