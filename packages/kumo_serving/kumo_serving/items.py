"""The three item formats: what stands in an item's `p` attribute, and what a reader makes of it.

Pure functions between text and values. Fetching items, and the pointer that says which format a table has, are
elsewhere. `docs/contract.md` has the same in words and test vectors for other languages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec

from kumo_serving.errors import ItemMalformed

RANKING = "ranking/1"
REGRESSION = "regression/1"
CLASSIFICATION = "classification/1"
FORMATS = (RANKING, REGRESSION, CLASSIFICATION)

PREDICTION_ATTRIBUTE = "p"


# One class (a product, a label) and its score or probability. A plain pair: made of a hundred lists, named ones were a
# twelfth of a get_many's whole cost.
Scored = tuple[str, float]
# ranking and classification: best (predicted) first. regression: one number.
Predictions = tuple[Scored, ...] | float

# msgspec parses and checks in one pass in C: strict JSON (no NaN), a str and a number in each pair, no booleans.
_TYPES: dict[str, Any] = {
    RANKING: tuple[Scored, ...],
    REGRESSION: float,
    CLASSIFICATION: Annotated[tuple[Scored, ...], msgspec.Meta(min_length=1)],
}
_ONE = {name: msgspec.json.Decoder(shape).decode for name, shape in _TYPES.items()}
_MANY = {name: msgspec.json.Decoder(list[shape | None]).decode for name, shape in _TYPES.items()}  # type: ignore[valid-type]
# Divides two texts of a batch. No malformed text can reach past it: a JSON string holds no raw line break and no list of
# predictions holds null, so this null is always an element of the batch itself.
_BETWEEN = ",null\n,"


def decode(text: str | bytes, item_format: str) -> Predictions:
    """The predictions in an item's `p`. Raises ItemMalformed for text of another shape or an unknown format."""
    try:
        predictions: Predictions = _ONE[item_format](text)
        return predictions
    except KeyError:
        raise _unknown(item_format) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ItemMalformed(
            "decode predictions", to=f"as {item_format}", found=str(error), next="check the release's postprocess SQL"
        ) from None


def decode_batch(texts: Sequence[str], item_format: str) -> list[Predictions] | None:
    """Each text's predictions; None when `decode` would refuse any of them, which has to be found out one by one.

    The texts are parsed as one JSON array, which for 100 short lists is much quicker than 100 parses. `_BETWEEN` divides
    them, so each text gives at least one element, and exactly one when the count is right. Malformed texts can then
    neither complete each other nor move their neighbours.
    """
    many = _MANY.get(item_format)
    if many is None:
        return None
    try:
        elements: list[Any] = many(f"[{_BETWEEN.join(texts)}]")
    except (msgspec.DecodeError, RecursionError):
        return None
    if len(elements) != max(2 * len(texts) - 1, 0):
        return None
    decoded: list[Predictions] = elements[::2]
    # A text can itself be null. `all` is the quicker test and nearly always enough: empty lists and zeros are rare.
    return None if not all(decoded) and None in decoded else decoded


def _unknown(item_format: str) -> ItemMalformed:
    return ItemMalformed(
        "decode predictions",
        found=f"item format {item_format!r} is unknown to this reader",
        next=f"upgrade kumo-serving; it knows {', '.join(FORMATS)}",
    )


def encode(predictions: Iterable[tuple[str, float]] | float, item_format: str) -> str:
    """Compact JSON of predictions, as an item's `p`. Raises ItemMalformed when they are not of the format."""
    value: Any = predictions if isinstance(predictions, int | float) else [list(pair) for pair in predictions]
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    decode(text, item_format)
    return text


def encode_item(
    entity: str | int, predictions: Iterable[tuple[str, float]] | float, item_format: str, *, key: str = "e"
) -> dict[str, dict[str, str]]:
    """The whole item in DynamoDB's JSON: `{"e": {"S": ...}, "p": {"S": ...}}`."""
    return {key: {"S": str(entity)}, PREDICTION_ATTRIBUTE: {"S": encode(predictions, item_format)}}
