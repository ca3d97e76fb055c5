"""Every artefact's name, in one place: pure functions from (environment, query, release) to names.

A name carries environment, query and release id, so nothing is ever reused (rule 1) and nothing of one environment can
be mistaken for another's. Parsing a release id is here too, on the form that `kumo_serving` knows. Talking to the
systems that hold these names is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kumo_serving.pointer import RELEASE_ID, partition_of_release

from kumo_assets.errors import ConfigError

QUERY_PATTERN = r"^[a-z][a-z0-9_]{1,62}$"
# Names that no query may have: `kumo-assets prove` makes its scratch objects under this one.
PROOF = "proof"
RESERVED = (PROOF,)
ENVIRONMENT_PATTERN = r"^[a-z][a-z0-9]{1,15}$"
RELEASE_PATTERN = f"^{RELEASE_ID}$"
PARTITION_PATTERN = r"^\d{4}-\d{2}-\d{2}$"

# What `attempt_suffix` writes.
ATTEMPT_PATTERN = r"(?:-a(?:[2-9]|[1-9][0-9]+))?"
_OWN_TABLE = re.compile(
    rf"(?P<environment>{ENVIRONMENT_PATTERN.strip('^$')})-(?P<query>{QUERY_PATTERN.strip('^$')})"
    rf"-(?P<release>{RELEASE_ID}){ATTEMPT_PATTERN}"
)

TAG_ENVIRONMENT = "kumo_assets:environment"
TAG_QUERY = "kumo_assets:query"
TAG_RELEASE = "kumo_assets:release"

# The root run whose release a run continues, where Dagster does not know that it does (the command line after a kill).
ROOT_RUN_TAG = "kumo_assets/root_run"

# The chain after the raw logs, in order. Asset names, artefact records and adoption all follow it.
CHAIN = ("predictions", "postprocessed", "s3_export", "dynamodb_table")
POINTER_ASSET = "active_pointer"
# After the chain, for a query that asks for it.
OUTCOMES_ASSET = "outcomes"


def _checked(value: str, pattern: str, what: str, example: str) -> str:
    if not re.fullmatch(pattern.strip("^$"), value):
        raise ConfigError(
            "use the " + what, to=repr(value), found=f"it does not match {pattern}", next=f"write it like {example!r}"
        )
    return value


@dataclass(frozen=True)
class ReleaseId:
    """A release id, `<YYYYMMDD>-<8 hex>`: the partition (`YYYY-MM-DD`) and the start of the root run's id.

    `str()` gives the text that documents and names carry. Releases are not ordered by it: see `SealedRelease.order`.
    """

    partition: str
    run: str

    @classmethod
    def of(cls, partition: str, root_run_id: str) -> ReleaseId:
        """The id of a partition (`YYYY-MM-DD`) and a Dagster root run id (a UUID). ConfigError when either is malformed."""
        _checked(partition, PARTITION_PATTERN, "partition", "2017-11-30")
        return cls.checked(f"{_day(partition)}-{root_run_id.replace('-', '')[:8].lower()}")

    @classmethod
    def parse(cls, text: str) -> ReleaseId | None:
        """The release id that `text` is. None for any other text, one with an impossible date included."""
        partition = partition_of_release(text)
        return cls(partition, text[-8:]) if partition else None

    @classmethod
    def checked(cls, text: str) -> ReleaseId:
        """The release id that `text` must be; ConfigError when it is not one."""
        found = cls.parse(text)
        if found is None:
            raise ConfigError(
                "use the release id",
                to=repr(text),
                found=f"it does not match {RELEASE_PATTERN}, or there is no such day",
                next="write it like '20171130-1a2b3c4d'",
            )
        return found

    @property
    def day(self) -> str:
        """The partition as the id has it, `YYYYMMDD`."""
        return _day(self.partition)

    def __str__(self) -> str:
        return f"{self.day}-{self.run}"


def _day(partition: str) -> str:
    return partition.replace("-", "")


@dataclass(frozen=True)
class TableOwner:
    """Whose a DynamoDB table is, by its name."""

    environment: str
    query: str
    release_id: str


def owner_of(table: str) -> TableOwner | None:
    """Whose table this name says it is. None for any name that we never give: another shape, a suffix of somebody's own
    (`-restored`), an attempt that is no attempt's number, a date that does not exist."""
    found = _OWN_TABLE.fullmatch(table)
    if found is None or ReleaseId.parse(found["release"]) is None:
        return None
    return TableOwner(found["environment"], found["query"], found["release"])


def attempt_suffix(attempt: int, *, upper: bool = False) -> str:
    """`""` for the first attempt, `-aN` (`_AN` for Snowflake) after it: a failed artefact's name is never reused."""
    if attempt < 1:
        raise ValueError(f"attempt must be at least 1, not {attempt}")
    if attempt == 1:
        return ""
    return f"_A{attempt}" if upper else f"-a{attempt}"


@dataclass(frozen=True)
class QueryNames:
    """Names of everything that belongs to one query in one environment and one bucket."""

    environment: str
    query: str
    bucket: str

    def __post_init__(self) -> None:
        _checked(self.environment, ENVIRONMENT_PATTERN, "environment name (KUMO_ASSETS_ENV)", "staging")
        _checked(self.query, QUERY_PATTERN, "query name", "next_best_product")
        _checked(
            self.bucket, r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", "bucket name (KUMO_ASSETS_BUCKET)", "acme-predictions"
        )

    @property
    def root(self) -> str:
        """Key prefix of everything of this query, ending in `/`."""
        return f"{self.environment}/{self.query}/"

    @property
    def pointer_key(self) -> str:
        return f"{self.root}active.json"

    @property
    def pointer_text_key(self) -> str:
        """Key of the optional plain-text copy of the pointer: the table's name alone."""
        return f"{self.root}active-table.txt"

    @property
    def znode(self) -> str:
        return f"/kumo_assets/{self.environment}/{self.query}/active"

    @property
    def ledger_prefix(self) -> str:
        return f"{self.root}ledger/"

    @property
    def releases_prefix(self) -> str:
        return f"{self.root}releases/"

    @property
    def releases_uri(self) -> str:
        return f"s3://{self.bucket}/{self.releases_prefix}"

    def day_prefix(self, partition: str) -> str:
        """What the keys of all releases of a partition start with. Those of later partitions sort after it."""
        return f"{self.releases_prefix}{_day(partition)}-"

    def release_prefix(self, release: str) -> str:
        return f"{self.releases_prefix}{ReleaseId.checked(release)}/"

    def export_prefix(self, release: str, attempt: int = 1) -> str:
        return f"{self.release_prefix(release)}export{attempt_suffix(attempt)}/"

    def warehouse_table(self, release: str, asset: str, attempt: int = 1) -> str:
        """Unqualified, upper-case Snowflake table name (Kumo creates names quoted, case preserved)."""
        found = ReleaseId.checked(release)
        stem = f"KUMO_{self.environment}_{self.query}_{found.day}_{found.run}_{asset}".upper()
        return stem + attempt_suffix(attempt, upper=True)

    def served_table(self, release: str) -> str:
        """Snowflake table with the sample of what a release serves; it outlives the release's other tables."""
        return self.warehouse_table(release, "served")

    def dynamodb_table(self, release: str, attempt: int = 1) -> str:
        return f"{self.environment}-{self.query}-{ReleaseId.checked(release)}{attempt_suffix(attempt)}"

    def release_of_table(self, table: str) -> str | None:
        """The release of this query whose table has this name; None for every name that is not exactly one of ours."""
        owner = owner_of(table)
        ours = owner is not None and (owner.environment, owner.query) == (self.environment, self.query)
        return owner.release_id if owner is not None and ours else None

    def tags(self, release: str) -> dict[str, str]:
        return {TAG_ENVIRONMENT: self.environment, TAG_QUERY: self.query, TAG_RELEASE: release}
