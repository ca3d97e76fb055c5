"""Everything this package raises on purpose. An error says what was being done, to what, what was found, what to do next.

The same shape as `kumo_serving.errors`, written again because an Airflow installs neither that package nor Dagster.
"""

from __future__ import annotations


class KumoAirflowError(Exception):
    """Something could not be done. A task that ends with one may be tried again, unless it is a `Refusal`."""

    def __init__(self, doing: str, *, to: str = "", found: str = "", next: str = "") -> None:
        self.doing, self.to, self.found, self.next = doing, to, found, next
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"Could not {self.doing}" + (f" {self.to}" if self.to else "")
        text += f": {self.found.rstrip('.')}." if self.found else "."
        return text + (f" Next: {self.next.rstrip('.')}." if self.next else "")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.doing, self.to, self.found, self.next))


def _rebuild(kind: type[KumoAirflowError], doing: str, to: str, found: str, next: str) -> KumoAirflowError:
    return kind(doing, to=to, found=found, next=next)


class Refusal(KumoAirflowError):
    """Trying again would change nothing: no such job, a day that is no partition, a wrong token. Nothing was started."""


class Unreachable(KumoAirflowError):
    """Dagster did not answer for as long as it was waited for."""


class LaunchUncertain(KumoAirflowError):
    """The launch was sent and its answer was lost: the run may exist. Look it up by its tags before sending another."""


class DagsterFailed(KumoAirflowError):
    """Dagster answered, and the answer is an error or cannot be used."""


class LocationNotLoaded(DagsterFailed):
    """Dagster answers, and the code location that may have the job is loading, away or broken: during a deploy, as a rule."""


class RunFailed(KumoAirflowError):
    """The Dagster run ended, and not well."""


class RunCanceled(RunFailed):
    """Somebody terminated the run."""


class RunOverdue(RunFailed):
    """The run was not done at its deadline, and was terminated."""


class GateBlocked(RunFailed):
    """A gate stopped the run. Asking it again would not change its mind, so the task is not retried."""
