"""In place of the Engine's calls, for what happens around them: quick, and failing in every way that the file `mode`
beside it names.

`engine_program` is the shipped one; only the vendor's package is not loaded.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

VERSION = "1.0.0"
MODE = Path(__file__).with_name("mode")


class QuestionError(Exception):
    pass


def mode() -> str:
    return MODE.read_text() if MODE.exists() else ""


def set_up(scratch: Path) -> None:
    scratch.mkdir(parents=True)


def check(question: dict[str, Any], types: dict[str, dict[str, str]], task: str, folder: Path) -> list[str]:
    if mode() == "hang":
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start()
        MODE.with_name("hanging").write_text(str(os.getpid()))
        time.sleep(600)
    if "NONSENSE" in question["pql"]:
        raise QuestionError("Invalid Syntax near NONSENSE")
    return ["beware of the stub"]


class Run:
    def __init__(self, question: dict[str, Any], data: Path) -> None:
        self.data = data
        if mode() == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if mode() == "memory":
            raise MemoryError("no room for 9 TB")
        if mode() == "wrong":
            raise RuntimeError("the Engine is out of order")

    def train(self, settings: dict[str, Any]) -> tuple[Path, dict[str, float]]:
        bundle = self.data.parent / "published"
        bundle.mkdir()
        (bundle / "weights").write_text(json.dumps(settings))
        return bundle, {"test_map@10": 0.5, "train_loss": 1.0}

    def predict(self, bundle: Path, anchor: datetime, classes: int | None, threshold: float | None) -> list[str]:
        assert (bundle / "weights").is_file()
        households = pq.read_table(self.data / "households")["HOUSEHOLD_ID"].to_pylist()
        same = mode() == "constant"
        found = pa.table(
            {
                "ENTITY": pa.array(households, pa.int64()),
                "CLASS": pa.array([1000 + (0 if same else item % 40) for item in households], pa.int64()),
                "SCORE": pa.array([0.5 if same else 0.5 + item / 1000 for item in households], pa.float32()),
            }
        )
        pq.write_table(found, self.data.parent / "found.parquet")
        return [str(self.data.parent / "found.parquet")]


def progress_in(scratch: Path) -> dict[str, Any] | None:
    return {"epochs": 1, "elapsed": 1.0, "estimated": 2.0, "curves": {"train_loss": [2.0, 1.0]}}
