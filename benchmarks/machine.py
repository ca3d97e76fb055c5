"""The machine and the versions a figure was measured with, and how much memory a process holds."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "dagster",
    "dagster-snowflake",
    "snowflake-connector-python",
    "boto3",
    "httpx",
    "fakesnow",
    "duckdb",
    "pandas",
    "numpy",
)


def machine() -> dict[str, Any]:
    """CPU, cores, memory, system, Python and the packages that matter."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def resident_mb(pid: int | None = None) -> float:
    """Resident memory of a process, MB (Linux: VmRSS)."""
    return _status("VmRSS", pid)


def peak_mb(pid: int | None = None) -> float:
    """The most it ever held, MB (Linux: VmHWM)."""
    return _status("VmHWM", pid)


def reset_peak() -> None:
    """Make this process's peak start again from what it holds now (Linux: clear_refs, 5)."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str, pid: int | None) -> float:
    for line in Path(f"/proc/{pid or 'self'}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
