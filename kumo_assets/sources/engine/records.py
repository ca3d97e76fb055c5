"""What is kept of the Engine's work on S3: the bundle of a trained model, and what an attempt at a day's scoring made."""

from __future__ import annotations

from pydantic import Field

from kumo_assets.config.names import QueryNames, attempt_suffix
from kumo_assets.documents import Document
from kumo_assets.resources.s3_objects import ObjectStore

# A run's folder on S3 has this name, under the release or under the query.
FOLDER = "engine"


class Bundle(Document):
    """A trained model: one archive beside this document, named after its SHA-256. Only the version of the Engine that wrote it, and
    only the question that it was trained for, go with it."""

    model_id: str
    engine: str
    question: str
    sha256: str
    bytes: int
    trained_at: str
    metrics: dict[str, float] = Field(default_factory=dict)
    curves: dict[str, list[float]] = Field(default_factory=dict)


class Scored(Document):
    """What an attempt computed, written before its table is filled: a table that agrees with it is whole."""

    attempt: int
    table: str
    rows: int
    entities: int
    model_id: str
    run: str
    ended_at: str
    peak_bytes: int = 0


def training_folder(names: QueryNames) -> str:
    """Key prefix of everything of this query's trainings."""
    return f"{names.root}{FOLDER}/"


def bundle_folder(names: QueryNames, model_id: str) -> str:
    return f"{training_folder(names)}models/{model_id}/"


def archive_key(names: QueryNames, model_id: str, sha256: str) -> str:
    """The key of a bundle's archive. Two processes that train one model at once never write over one another's."""
    return f"{bundle_folder(names, model_id)}bundle-{sha256[:12]}.tar"


def scoring_folder(names: QueryNames, release: str) -> str:
    """Key prefix of everything of this release's scoring; it goes with the release."""
    return f"{names.release_prefix(release)}{FOLDER}/"


def inputs_of(folder: str, name: str, attempt: int) -> str:
    """Key prefix of what Snowflake unloads for one run: no two runs share it."""
    return f"{folder}inputs/{name}{attempt_suffix(attempt)}/"


def read_bundle(objects: ObjectStore, names: QueryNames, model_id: str) -> Bundle | None:
    """The manifest of a model's bundle; None when there is none."""
    key = f"{bundle_folder(names, model_id)}bundle.json"
    stored = objects.get(key)
    return Bundle.from_json(stored.data, objects.uri(key)) if stored is not None else None


def read_scored(objects: ObjectStore, folder: str, attempt: int) -> Scored | None:
    """What an attempt recorded; None when it did not come so far."""
    key = f"{folder}scored{attempt_suffix(attempt)}.json"
    stored = objects.get(key)
    return Scored.from_json(stored.data, objects.uri(key)) if stored is not None else None


def write_scored(objects: ObjectStore, folder: str, scored: Scored) -> None:
    objects.put(f"{folder}scored{attempt_suffix(scored.attempt)}.json", scored.to_json())
