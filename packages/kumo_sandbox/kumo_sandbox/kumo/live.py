"""Settings that change while the emulator runs, kept in the store: keys, RBAC, pace, how old the tenant is.

Set through `PUT /_sandbox/settings`; the fixed ones are in `settings.py`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kumo_sandbox.kumo.settings import Settings
from kumo_sandbox.kumo.store import Store


class LiveSettings(BaseModel):
    """`denied_status` is what a wrong key gets; `token_seconds` how long a session token lives; `tags_visible_after` seconds until a job is found by tag; an `old`
    tenant ignores `prediction_time`, as kumo-api 0.60 did; `list_order` is not promised by the vendor, so that tests can
    shuffle it; `tracking_base` is the web UI's address when it differs from the API's.
    """

    model_config = ConfigDict(extra="forbid")

    api_key: str = Field(pattern=r"^[^:]+:.+$")
    token: str
    token_seconds: float = Field(default=3600, ge=0)
    denied_status: int = Field(default=401, ge=400, le=499)
    rbac: bool = False
    group_id: str = "group-1"
    project_id: str = "project-1"
    pace: float = Field(default=0.2, ge=0)
    concurrency: int = Field(default=2, ge=1)
    tags_visible_after: float = Field(default=0, ge=0)
    tenant: Literal["current", "old"] = "current"
    reject_unknown_fields: bool = False
    list_order: Literal["newest_first", "shuffled"] = "newest_first"
    tracking_base: str | None = None


class Live:
    """The settings now, written through to the store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._defaults = {
            "api_key": settings.api_key,
            "token": settings.token,
            "rbac": settings.rbac,
            "pace": settings.pace,
            "concurrency": settings.concurrency,
        }
        # Only what was changed is kept, so that a restart with another environment is obeyed in the rest.
        self.now = LiveSettings.model_validate({**self._defaults, **(store.get("settings", "live") or {})})

    @property
    def pace(self) -> float:
        return self.now.pace

    @property
    def concurrency(self) -> int:
        return self.now.concurrency

    def change(self, changes: dict[str, Any]) -> LiveSettings:
        """Raises `pydantic.ValidationError` for an unknown or malformed setting; then nothing has changed."""
        kept = {**(self._store.get("settings", "live") or {}), **changes}
        self.now = LiveSettings.model_validate({**self._defaults, **kept})
        self._store.put("settings", "live", kept)
        return self.now

    def reset(self) -> LiveSettings:
        self._store.delete("settings", "live")
        self.now = LiveSettings.model_validate(self._defaults)
        return self.now

    def shown(self) -> dict[str, Any]:
        """The settings without the secrets."""
        return self.now.model_dump(exclude={"api_key", "token"})
