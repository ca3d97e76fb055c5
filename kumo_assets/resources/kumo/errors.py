"""How talking to Kumo can fail, each with what to do next. What is raised when is in `transport`, `launching`, `client`."""

from __future__ import annotations

from kumo_assets.errors import KumoApiError


class KumoUnauthorized(KumoApiError):
    """401 or 403: fatal. Resetting a key in Kumo invalidates the old one at once."""


class KumoUnreachable(KumoApiError):
    """No answer, or 408, 429 or 5xx to the end of the retries.

    `retry_after` is what the answer asked for, in seconds. `maybe_accepted` is False only when the request certainly was
    not carried out: the connection was never made, or the answer was 429.
    """

    retry_after: float | None = None
    maybe_accepted: bool = True


class KumoMalformed(KumoApiError):
    """An answer that is not what the API documents: HTML from a proxy, a missing field, no JSON."""


class KumoRefused(KumoApiError):
    """Kumo understood and said no: 4xx, or 200 with `[null, {errors}]`. `status` is that of the answer, where it was one."""

    status: int | None = None


class KumoJobFailed(KumoApiError):
    """The job ended FAILED or CANCELLED."""


class KumoJobCancelled(KumoJobFailed):
    """The job was cancelled because the caller asked for it."""


class KumoJobUnusable(KumoApiError):
    """UNTRAINED or MISSING: statuses a naive poll would wait on for ever."""


class KumoJobTimedOut(KumoApiError):
    """The job was cancelled because its deadline passed."""


class KumoOutputUnproved(KumoApiError):
    """The job says DONE and its table does not bear it out."""
