"""What can go wrong with the sandbox itself, in the project's one exception tree."""

from __future__ import annotations

from kumo_serving.errors import KumoAssetsError


class SandboxError(KumoAssetsError):
    """A part of the sandbox could not be started, reached or stopped."""


class SandboxUsage(SandboxError):
    """Wrong usage of the command line."""

    exit_status = 2
