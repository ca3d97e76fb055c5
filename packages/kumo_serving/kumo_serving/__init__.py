"""Read online what kumo_assets put there: the active pointer, then the DynamoDB table it names."""

from __future__ import annotations
