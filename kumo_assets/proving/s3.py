"""What is assumed of S3: conditional writes, consistency, its clock, versions, encryption, and what must be denied."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from kumo_assets.proving.denials import must_be_denied
from kumo_assets.proving.proof import EMULATED, Proof
from kumo_assets.proving.report import Differs, NotTried
from kumo_assets.resources.aws import ENCRYPTION, KMS_KEY, encryption

WRITERS = 8
# S3 dates objects in whole seconds.
CLOCK = timedelta(seconds=5)


def prove_s3(proof: Proof) -> None:
    """Try every row of the area."""
    report, objects = proof.report, proof.objects
    key = f"{proof.names.root}s3/object.json"

    with report.trying("s3-consistent") as trial:
        _consistent(proof, key)
        trial.seen = "read, listed and gone at once"
    with report.trying("s3-create-once") as trial:
        if not objects.create(key, b"first"):
            raise Differs("an object was not created where there was none")
        if objects.create(key, b"second"):
            raise Differs("a second If-None-Match: * wrote over the object")
        trial.seen = "the second is refused"
    with report.trying("s3-compare-and-set") as trial:
        objects.put(key, b"one")
        stored = objects.get(key)
        if stored is None or not objects.replace(key, b"two", etag=stored.etag):
            raise Differs("If-Match with the ETag that was read is refused")
        if objects.replace(key, b"three", etag=stored.etag):
            raise Differs("a stale If-Match wrote over the object: the store ignores it")
        trial.seen = "the stale one is refused"
    with report.trying("s3-one-winner") as trial:
        objects.put(key, b"before")
        stored = objects.get(key)
        etag = stored.etag if stored is not None else ""
        with ThreadPoolExecutor(WRITERS) as pool:
            won = list(pool.map(lambda n: objects.replace(key, f"writer {n}".encode(), etag=etag), range(WRITERS)))
        if sum(won) != 1:
            raise Differs(f"{sum(won)} of {WRITERS} won")
        trial.seen = f"1 of {WRITERS} won"
    with report.trying("s3-clock") as trial:
        before = objects.now(proof.names.root)
        objects.put(key, b"dated")
        stored = objects.get(key)
        if stored is None or abs(stored.modified - before) > CLOCK:
            raise Differs(f"an object written at {before} is dated {stored.modified if stored else 'never'}")
        trial.seen = f"object and answer are within {CLOCK.seconds} s"
    with report.trying("s3-versions") as trial:
        stored = objects.get(key)
        if stored is None or not stored.version:
            raise NotTried("the bucket keeps no versions: turn versioning on, so that the pointer's history survives")
        objects.put(key, b"newer")
        newer, versions = objects.get(key), objects.versions(key)
        if newer is None or versions[:2] != (newer.version, stored.version):
            raise Differs(f"the newest versions are {versions[:2]}, not those of the last two writes")
        trial.seen = "the last two writes, newest first"
    with report.trying("s3-encryption") as trial:
        trial.seen = encrypted_as_asked(proof, key)
    _denials(proof, key)


def _consistent(proof: Proof, key: str) -> None:
    objects = proof.objects
    objects.put(key, b"written")
    stored = objects.get(key)
    if stored is None or stored.data != b"written":
        raise Differs("what was written was not read")
    if [item.key for item in objects.list(key)] != [key]:
        raise Differs("what was written was not listed")
    objects.delete_many([key])
    if objects.get(key) is not None or list(objects.list(key)):
        raise Differs("what was deleted is still there")


def encrypted_as_asked(proof: Proof, key: str) -> str:
    """How an object is encrypted. NotTried where nobody asked for anything, Differs where it is another way."""
    asked = encryption()
    if not asked:
        raise NotTried(f"{ENCRYPTION} is not set: the bucket's own default applies")
    head: Any = proof.objects.client.head_object(Bucket=proof.names.bucket, Key=key)
    found = head.get("ServerSideEncryption", "none")
    if found != asked["ServerSideEncryption"]:
        raise Differs(f"{found} instead of {asked['ServerSideEncryption']}")
    # A key may be named by its id, its ARN or an alias, and is reported by its ARN.
    wanted = asked.get("SSEKMSKeyId", "")
    if wanted and not wanted.startswith("alias/") and ":alias/" not in wanted:
        used = head.get("SSEKMSKeyId", "")
        if used.rpartition("/")[2] != wanted.rpartition("/")[2]:
            raise Differs(f"key {used} instead of {KMS_KEY}")
    return str(found)


def _denials(proof: Proof, key: str) -> None:
    report, client, bucket = proof.report, proof.objects.client, proof.names.bucket
    outside = f"{proof.names.outside}denied.json"
    with report.trying("denied-s3-outside") as trial:
        if proof.emulated:
            raise NotTried(EMULATED)
        must_be_denied(
            trial,
            lambda: client.put_object(Bucket=bucket, Key=outside, Body=b"{}"),
            lambda: client.delete_object(Bucket=bucket, Key=outside),
        )
    with report.trying("denied-s3-version") as trial:
        if proof.emulated:
            raise NotTried(EMULATED)
        versions = [version for version in proof.objects.versions(key) if version]
        if not versions:
            raise NotTried("the bucket keeps no versions")
        must_be_denied(trial, lambda: client.delete_object(Bucket=bucket, Key=key, VersionId=versions[-1]))
