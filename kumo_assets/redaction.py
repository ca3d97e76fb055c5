"""Words of other people's code (an own gate's exception, Snowflake's message) without this process's secrets in them.

Our own errors never carry a secret; this is for text we did not write and are about to store or send.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_SECRET_NAME = re.compile(
    r"PASSWORD|PASSPHRASE|SECRET|TOKEN|API_KEY|PRIVATE_KEY$|WEBHOOK_URL|CREDENTIAL", re.IGNORECASE
)
# Shorter values are no secrets, and would blot out ordinary words.
SHORTEST = 6


def without_secrets(text: str, environ: Mapping[str, str] | None = None) -> str:
    """`text` with the value of every secret-looking environment variable, and of either part of a `name:secret`,
    replaced by `***`."""
    source = os.environ if environ is None else environ
    values = {value for name, value in source.items() if _SECRET_NAME.search(name)}
    values |= {part for value in values if "://" not in value for part in value.split(":")}
    for value in sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True):
        text = text.replace(value, "***")
    return text
