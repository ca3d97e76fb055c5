"""Names of everything that one proof makes. `proof` is a reserved query name, so nothing of a query's is among them.

    DynamoDB    <env>-proof-<YYYYMMDD>-<hex>[-aN]           Snowflake   KUMO_<ENV>_PROOF_<YYYYMMDD>_<HEX>_<ASSET>
    S3          s3://<bucket>/<env>/proof/<hex>/            ZooKeeper   /kumo_assets/<env>/proof-<hex>/active

They are a query's names with a folder of each proof's own, so that the policies of deploy/ cover them, and the operations
on releases work on one proof and see no other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kumo_assets.config.names import PROOF, QueryNames, ReleaseId

HEX = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class ProofNames(QueryNames):
    """The names of the proof `proof` (8 hex digits)."""

    proof: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not HEX.fullmatch(self.proof):
            raise ValueError(f"a proof is named by 8 hex digits, not {self.proof!r}")

    @property
    def root(self) -> str:
        return f"{proofs_prefix(self.environment)}{self.proof}/"

    @property
    def znode(self) -> str:
        # As deep as a query's, because the store gives the folders above it their rights by their depth.
        return f"/kumo_assets/{self.environment}/{PROOF}-{self.proof}/active"

    def view(self, release: str) -> str:
        """Its one view in Snowflake."""
        return self.warehouse_table(release, "view")

    @property
    def lease_key(self) -> str:
        return f"{self.root}lease.json"

    @property
    def outside(self) -> str:
        """A prefix in the bucket that is not the environment's: nothing may be written there."""
        return f"{self.environment}-{PROOF}-{self.proof}/"

    def release(self, partition: str) -> str:
        """The one release of this proof."""
        return str(ReleaseId.of(partition, self.proof))


def proofs_prefix(environment: str) -> str:
    """The prefix in the bucket that every proof of an environment has its folder in."""
    return f"{environment}/{PROOF}/"


def names_of(environment: str, bucket: str, proof: str) -> ProofNames:
    """The names of one proof. ConfigError for a malformed environment or bucket."""
    return ProofNames(environment=environment, query=PROOF, bucket=bucket, proof=proof)
