"""A worker killed by SIGKILL at any step, and the run again: the same release, no second Kumo job, no second import.

The kill is of a real process, at a moment held still at the HTTP boundary: the request that would record the step is on
its way and not answered. It may still arrive after its sender's death, as such requests do.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from kumo_assets_tests.chain.conftest import DAY, QUERY, Chain
from kumo_assets_tests.chain.worker import until, worker

HELD_SECONDS = 8.0


def at_request(operation: str, match: str) -> Callable[[Chain], Callable[[], bool]]:
    """Hold an AWS request of the release; True once it is held."""

    def arm(chain: Chain) -> Callable[[], bool]:
        chain.handle.aws_faults({"operation": operation, "match": match, "delay": HELD_SECONDS})
        url = chain.handle.url["aws"] + "/_sandbox/faults"
        return lambda: any(fault["seen"] for fault in httpx.get(url, trust_env=False, verify=False).json())

    return arm


def while_kumo_works(chain: Chain) -> Callable[[], bool]:
    chain.handle.kumo_faults({"kind": "long_run", "query": QUERY, "with": {"seconds": 3}})
    return lambda: bool(chain.kumo_jobs())


def before_kumo_answers(chain: Chain) -> Callable[[], bool]:
    """The job exists; the launch's answer is never heard."""
    chain.handle.kumo_faults({"kind": "accept_then_hang", "query": QUERY, "with": {"seconds": HELD_SECONDS}})
    return lambda: bool(chain.kumo_jobs())


STEPS: dict[str, Callable[[Chain], Callable[[], bool]]] = {
    "about to open": at_request("PutObject", "opened.json"),
    "job launched, answer lost": before_kumo_answers,
    "job running": while_kumo_works,
    "predictions proved": at_request("PutObject", "artefacts/predictions.json"),
    "verdicts of predictions": at_request("PutObject", "verdicts/"),
    "table post-processed": at_request("PutObject", "artefacts/postprocessed.json"),
    "export unloaded": at_request("PutObject", "artefacts/s3_export.json"),
    "import under way": at_request("DescribeImport", ""),
    "import judged": at_request("PutObject", "verdicts/import_complete.json"),
    "about to seal": at_request("PutObject", "release.json"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_run_after_a_kill_goes_on_with_what_was_begun(chain: Chain, step: str) -> None:
    root = str(uuid.uuid4())
    reached = STEPS[step](chain)
    with worker(_environment(chain), f"{QUERY}_daily", DAY, root) as process:
        until(reached, process)
    assert process.exitcode == -9
    chain.handle.reset_faults()
    again = chain.run(root=root)
    assert again.success
    release = chain.release(again, root=root)
    assert [item.release_id for item in chain.ctx().store.listings()] == [release]
    assert len(chain.kumo_jobs()) == 1
    assert len(chain.imports()) == 1
    assert chain.promote().success
    assert chain.active() == release


def _environment(chain: Chain) -> dict[str, Any]:
    return {**chain.handle.env, "KUMO_ASSETS_ENV": os.environ["KUMO_ASSETS_ENV"]}
