"""The three item formats: what stands in an item's `p` attribute, and what a reader makes of it.

Pure functions between text and values. Fetching items, and the pointer that says which format a table has, are
elsewhere. `docs/contract.md` has the same in words and test vectors for other languages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from kumo_serving.errors import ItemMalformed

RANKING = "ranking/1"
REGRESSION = "regression/1"
CLASSIFICATION = "classification/1"
FORMATS = (RANKING, REGRESSION, CLASSIFICATION)

PREDICTION_ATTRIBUTE = "p"


class Scored(NamedTuple):
    """One class (a product, a label) and its score or probability. Unpacks as a pair."""

    name: str
    score: float


# ranking and classification: best (predicted) first. regression: one number.
Predictions = tuple[Scored, ...] | float


def _no_constant(text: str) -> float:
    # JSON has no NaN and no Infinity; Python's parser would let them through as numbers.
    raise ValueError(f"{text} is not JSON")


# The C scanner itself, without the two regular expressions for surrounding space that json.loads runs around it.
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(parse_constant=_no_constant).scan_once  # type: ignore[attr-defined]
_LARGEST = 1.7976931348623157e308
_pair = Scored._make


def _json(text: str) -> Any:
    try:
        value, end = _scan(text, 0)
    except StopIteration as error:
        raise ValueError(f"no JSON value at character {error.value}") from None
    if end != len(text):
        raise ValueError(f"text after the value at character {end}")
    return value


def _scored(value: Any) -> tuple[Scored, ...]:
    if type(value) is not list:
        raise ValueError("not a list of [class, score] pairs")
    for name, score in value:
        kind = type(score)
        if type(name) is not str or (kind is not float and kind is not int) or not -_LARGEST <= score <= _LARGEST:
            raise ValueError(f"{[name, score]!r:.80} is not a [class, score] pair")
    return tuple(map(_pair, value))


def _ranking(value: Any) -> tuple[Scored, ...]:
    return _scored(value)


def _regression(value: Any) -> float:
    if type(value) not in (float, int) or not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"{value!r:.80} is not a number")
    return float(value)


def _classification(value: Any) -> tuple[Scored, ...]:
    classes = _scored(value)
    if not classes:
        raise ValueError("no class at all")
    return classes


_SHAPES: dict[str, Callable[[Any], Predictions]] = {
    RANKING: _ranking,
    REGRESSION: _regression,
    CLASSIFICATION: _classification,
}


def _shape(item_format: str) -> Callable[[Any], Predictions]:
    shape = _SHAPES.get(item_format)
    if shape is None:
        raise ItemMalformed(
            "decode predictions",
            found=f"item format {item_format!r} is unknown to this reader",
            next=f"upgrade kumo-serving; it knows {', '.join(FORMATS)}",
        )
    return shape


def _malformed(item_format: str, error: Exception) -> ItemMalformed:
    return ItemMalformed(
        "decode predictions", to=f"as {item_format}", found=str(error), next="check the release's postprocess SQL"
    )


def decode(text: str, item_format: str) -> Predictions:
    """The predictions in an item's `p`. Raises ItemMalformed for text of another shape or an unknown format."""
    shape = _shape(item_format)
    try:
        return shape(_json(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise _malformed(item_format, error) from None


def decode_value(value: Any, item_format: str) -> Predictions:
    """As `decode`, of a JSON value already parsed (the `p` of fallback.json)."""
    shape = _shape(item_format)
    try:
        return shape(value)
    except (ValueError, TypeError) as error:
        raise _malformed(item_format, error) from None


def decode_batch(texts: Sequence[str], item_format: str) -> list[Predictions | ItemMalformed]:
    """Each text's predictions, or its error in its place: one bad item never spoils its neighbours.

    The texts are parsed as one JSON array first, which for 100 short lists takes a third of the time of 100 parses.
    """
    shape = _shape(item_format)
    try:
        values = _json(f"[{','.join(texts)}]")
        # Malformed texts could shift their neighbours ("[1" next to "2]"); the count gives that away.
        if len(values) == len(texts):
            return [shape(value) for value in values]
    except (ValueError, TypeError, RecursionError):
        pass  # some text is malformed: find out which, one by one
    decoded: list[Predictions | ItemMalformed] = []
    for text in texts:
        try:
            decoded.append(decode(text, item_format))
        except ItemMalformed as error:
            decoded.append(error)
    return decoded


def encode(predictions: Iterable[tuple[str, float]] | float, item_format: str) -> str:
    """Compact JSON of predictions, as an item's `p`. Raises ItemMalformed when they are not of the format."""
    value: Any = predictions if isinstance(predictions, int | float) else [list(pair) for pair in predictions]
    decode_value(value, item_format)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode_item(
    entity: str | int, predictions: Iterable[tuple[str, float]] | float, item_format: str, *, key: str = "e"
) -> dict[str, dict[str, str]]:
    """The whole item in DynamoDB's JSON: `{"e": {"S": ...}, "p": {"S": ...}}`."""
    return {key: {"S": str(entity)}, PREDICTION_ATTRIBUTE: {"S": encode(predictions, item_format)}}
