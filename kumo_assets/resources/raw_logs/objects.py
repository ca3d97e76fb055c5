"""One object of S3's as a file that is read by ranges, so that a large one is never read whole.

Every range must be of the object that was opened: one that is overwritten or deleted meanwhile raises Changed.
"""

from __future__ import annotations

import io

from kumo_assets.resources.s3_objects import ObjectStore

# Bytes that are asked for at once where a file is read from front to back.
AHEAD = 4 << 20


class Changed(Exception):
    """The object was overwritten or deleted while it was read."""


class ObjectFile(io.RawIOBase):
    """A file of one object's bytes. Opening it asks for its first byte, which says how many there are."""

    def __init__(self, objects: ObjectStore, key: str) -> None:
        super().__init__()
        self._objects, self._key, self._at = objects, key, 0
        first = objects.get_range(key, 0, 4)
        if first is None:
            raise Changed(key)
        self.size, self._etag, self.start = first.size, first.etag, first.data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what RawIOBase.read hands over
        wanted = min(len(buffer), self.size - self._at)
        if wanted <= 0:
            return 0
        found = self._objects.get_range(self._key, self._at, wanted, etag=self._etag)
        if found is None:
            raise Changed(self._key)
        buffer[: len(found.data)] = found.data
        self._at += len(found.data)
        return len(found.data)
