"""One document of one release: read, held against what it was read for, written once. Which documents there are, and when
each is written, is in `store`."""

from __future__ import annotations

from typing import TypeVar

from kumo_assets.config.names import QueryNames, ReleaseId
from kumo_assets.documents import Document, ReadFor, validate
from kumo_assets.errors import DamagedDocument
from kumo_assets.resources.s3_objects import ObjectStore, Stored

D = TypeVar("D", bound=Document)


class ReleaseDocuments:
    """The documents in the folders of one query's releases, by the name of their object. Raises DamagedDocument for one
    that is not what it was read for, ObjectStoreError when S3 does not answer. A text that is no release id names no
    release: nothing is found."""

    def __init__(self, names: QueryNames, objects: ObjectStore) -> None:
        self.names = names
        self.objects = objects

    def _key(self, release: str, name: str) -> str:
        return self.names.release_prefix(release) + name

    def _read(self, release: str, name: str, kind: type[D], asset: str = "") -> D | None:
        if ReleaseId.parse(release) is None:
            return None
        stored = self.objects.get(self._key(release, name))
        return self._parsed(release, name, kind, stored, asset) if stored is not None else None

    def _read_once(self, release: str, name: str, kind: type[D], asset: str = "") -> D | None:
        """The same, of a document that is written once and never deleted."""
        if ReleaseId.parse(release) is None:
            return None
        key = self._key(release, name)
        return self.objects.get_once(key, lambda stored: self._parsed(release, name, kind, stored, asset))

    def _parsed(self, release: str, name: str, kind: type[D], stored: Stored, asset: str = "") -> D:
        """The document, held against what it was read for: everything that is read for a release comes through here."""
        where = self.objects.uri(self._key(release, name))
        document = kind.from_json(stored.data, where)
        validate(document, ReadFor(self.names, release, name, asset), where)
        return document

    def _create(self, release: str, name: str, document: D) -> D:
        """Write once; the document that exists then. After a write whose answer was lost, that is our own."""
        key = self._key(release, name)
        existing = self.objects.create_once(key, document.to_json())
        return document if existing is None else self._parsed(release, name, type(document), existing)

    def _mark(self, release: str, name: str, document: D) -> D:
        """The same, of a document whose being there is what counts: a damaged one stops the release just as well."""
        try:
            return self._create(release, name, document)
        except DamagedDocument:
            return document
