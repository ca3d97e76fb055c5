"""One small object for each query that says when a release of it was last sealed: `<env>/.sealed/<query>`.

One listing shows those of an environment, so whoever watches a hundred queries need not list the releases of each. A bell
is a hint and never evidence: who seals and cannot ring, or an earlier version that does not know of it, is found out by
looking, a little later.
"""

from __future__ import annotations

import logging
from datetime import datetime

from kumo_assets.config.names import QueryNames
from kumo_assets.errors import ObjectStoreError
from kumo_assets.resources.s3_objects import ObjectStore

log = logging.getLogger(__name__)


def ring(objects: ObjectStore, names: QueryNames, release: str) -> None:
    """Say that a release of the query was sealed. Never raises."""
    try:
        objects.put(key_of(names), release.encode(), content_type="text/plain")
    except ObjectStoreError as error:
        log.warning("the promotion sensor sees this seal a minute later: %s", error)


def rung(objects: ObjectStore, environment: str) -> dict[str, datetime] | None:
    """When each query's bell was rung last, by S3's clock; None when nobody can say. One listing for 1,000 queries."""
    prefix = _prefix(environment)
    try:
        return {item.key.removeprefix(prefix): item.modified for item in objects.list(prefix)}
    except ObjectStoreError as error:
        log.warning("%s", error)
        return None


def key_of(names: QueryNames) -> str:
    """The key of the query's bell."""
    return _prefix(names.environment) + names.query


def _prefix(environment: str) -> str:
    return f"{environment}/.sealed/"
