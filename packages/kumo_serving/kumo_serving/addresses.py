"""S3 addresses as text: `s3://<bucket>/<key>`, where an access point's ARN may stand in the bucket's place. No I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
_ACCESS_POINT = re.compile(
    r"(arn:aws[a-z-]*:s3:([a-z0-9-]+):[0-9]{12}:accesspoint[:/][a-z0-9][a-z0-9-]{1,48}[a-z0-9])/(.+)"
)


class S3Address(NamedTuple):
    """Where an object is. `region` is the access point's, "" for a bucket: its name does not say."""

    bucket: str
    key: str
    region: str = ""


def s3_address(uri: str) -> S3Address:
    """The parts of an address. Raises ValueError, saying why, for any other text.

    ARNs of other kinds are refused: S3 on Outposts, Object Lambda and multi-region access points are other services, or
    sign in another way. An access point's alias is a bucket's name as any other.
    """
    if not uri.startswith("s3://"):
        raise ValueError("it is no s3:// address")
    place = uri.removeprefix("s3://")
    if place.startswith("arn:"):
        found = _ACCESS_POINT.fullmatch(place)
        if found is None:
            raise ValueError(
                "of ARNs only an S3 access point's is taken, as in "
                "s3://arn:aws:s3:<region>:<account>:accesspoint/<name>/<key>"
            )
        return S3Address(found[1], found[3], found[2])
    bucket, _, key = place.partition("/")
    if not bucket or not key.lstrip("/"):
        raise ValueError("it names no bucket, or no key")
    return S3Address(bucket, key.lstrip("/"))
