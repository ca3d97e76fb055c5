"""The program that the parent process starts inside the Engine's environment: it speaks Dagster Pipes, and ends with its parent.

One question a process: check it, wait for the parent to say that the data is on S3, then train or predict. Rows are read
from S3 and written to Parquet here and nowhere else. The Engine itself is called in `engine_calls`. Credentials come from
the environment, never from the job.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import sys
import tarfile
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 1.0


def guard(parent: int) -> None:
    """Die when the parent does: the kernel's signal on Linux, and a pipe's end everywhere (in `orders`)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # When memory runs out, the kernel takes this process and not the one that runs Dagster.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("800")
    if os.getppid() != parent:
        os._exit(1)  # it died before the kernel was asked to tell


def orders() -> Callable[[], dict[str, Any]]:
    """A call that waits for the parent's one line on stdin. When the pipe ends, this process and its workers die at once."""
    arrived: list[dict[str, Any]] = []
    told = threading.Event()

    # Not through sys.stdin: a data loader's worker is a fork, closes its own, and would wait for ever for the lock that
    # the reading thread holds (multiprocessing.util._close_stdin).
    pipe = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def read() -> None:
        data = b""
        while part := os.read(pipe, 65_536):
            data += part
            if data.endswith(b"\n") and not arrived:
                arrived.append(json.loads(data))
                told.set()
        os.killpg(0, signal.SIGKILL)

    def watch() -> None:
        while os.read(pipe, 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=read, name="parent", daemon=True).start()
    # A worker watches the pipe itself: the kernel may kill this process before it can kill its workers.
    os.register_at_fork(after_in_child=lambda: threading.Thread(target=watch, name="parent", daemon=True).start())

    def wait() -> dict[str, Any]:
        told.wait()
        return arrived[0]

    return wait


def main() -> int:
    """0 when the job is done; 1 with a message to the parent that says why it is not."""
    guard(int(os.environ["KUMO_ASSETS_PARENT"]))
    wait = orders()
    from dagster_pipes import PipesContext, open_dagster_pipes

    with open_dagster_pipes() as pipes:
        assert isinstance(pipes, PipesContext)
        job: dict[str, Any] = pipes.get_extra("job")

        def tell(**message: Any) -> None:
            pipes.report_custom_message(message)

        try:
            tell(result=work(job, wait, tell, pipes.log.info))
        except MemoryError as error:
            tell(error=f"out of memory: {error}", kind="memory")
            return 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent is told
            kind = type(error).__name__
            tell(error=f"{kind}: {' '.join(str(error).split())[:1500]}", kind=kind)
            traceback.print_exc()
            return 1
    return 0


def work(
    job: dict[str, Any], wait: Callable[[], dict[str, Any]], tell: Callable[..., None], say: Callable[[str], None]
) -> dict[str, Any]:
    """The job's result, as the parent reads it."""
    scratch = Path(job["scratch"])
    started = time.monotonic()
    import engine_calls as engine

    engine.set_up(scratch / "engine")
    say(f"Kumo Engine {engine.VERSION} is loaded ({time.monotonic() - started:.0f} s)")
    if job["version"] != engine.VERSION:
        raise RuntimeError(f"this is Kumo Engine {engine.VERSION}, and {job['version']} is needed")
    warnings = engine.check(job["question"], job["types"], job["task"], scratch / "check")
    tell(checked=warnings)
    if job["action"] == "check":
        return {"warnings": warnings}
    inputs = wait()["inputs"]
    store = Objects(job["write"])
    data = scratch / "data"
    for name, addresses in inputs.items():
        rows = store.rows(addresses, data / name)
        say(f"Read {rows:,} rows of {name} in {len(addresses)} files")
    if job["action"] == "train":
        return train(job, engine, data, store, tell, say)
    return predict(job, engine, data, store, say)


def train(
    job: dict[str, Any], engine: Any, data: Path, store: Objects, tell: Callable[..., None], say: Any
) -> dict[str, Any]:
    """Train, and put the bundle on S3 as one object."""
    run = engine.Run(job["question"], data)
    say("The graph is built; training begins")
    scratch = Path(job["scratch"])
    ended = threading.Event()
    last: dict[str, Any] = {}

    def watch() -> None:
        while not ended.wait(POLL_SECONDS):
            found = engine.progress_in(scratch / "engine")
            if found is not None and found["epochs"] != last.get("epochs"):
                last.clear()
                last.update(found)
                tell(progress=found)

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        bundle, metrics = run.train(job["settings"])
    finally:
        ended.set()
        watcher.join()
    found = engine.progress_in(scratch / "engine") or last
    packed = scratch / "bundle.tar"
    pack(bundle, packed)
    digest = digest_of(packed)
    # The name that `records.archive_key` has for it.
    key = f"{job['bundle']['folder']}bundle-{digest[:12]}.tar"
    store.put(packed, {"bucket": job["bundle"]["bucket"], "key": key})
    return {
        "metrics": metrics,
        "curves": found.get("curves", {}),
        "sha256": digest,
        "bytes": packed.stat().st_size,
        "peak": peak_memory(),
    }


def predict(job: dict[str, Any], engine: Any, data: Path, store: Objects, say: Any) -> dict[str, Any]:
    """Load the bundle, score, and write the predictions as Parquet files in our columns."""
    scratch = Path(job["scratch"])
    packed = scratch / "bundle.tar"
    store.get(job["bundle"], packed)
    digest = digest_of(packed)
    if digest != job["sha256"]:
        raise RuntimeError(f"the bundle's SHA-256 is {digest}, and its manifest says {job['sha256']}")
    bundle = scratch / "bundle"
    with tarfile.open(packed) as archive:
        archive.extractall(bundle, filter="data")
    packed.unlink()
    anchor = datetime.fromisoformat(job["anchor"])
    run = engine.Run(job["question"], data)
    say("The graph is built; scoring begins")
    files = run.predict(bundle, anchor, job["classes"], job["threshold"])
    written = outputs(files, scratch / "predictions", anchor)
    return {**written, "peak": peak_memory()}


def outputs(files: list[str], folder: Path, anchor: datetime) -> dict[str, Any]:
    """The Engine's files with every name in upper case and both timestamps; how many rows and entities they have.

    Times are text: Snowflake takes those of Parquet for numbers, unless its newest reader is asked for.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    entities: set[Any] = set()
    rows = 0
    types: dict[str, str] = {}
    names = []
    now = datetime.now(UTC).replace(tzinfo=None)
    for number, file in enumerate(sorted(files)):
        # All rows of an entity are small; all rows of the file need not be.
        source = pq.ParquetFile(file)
        path = folder / f"part-{number:05d}.parquet"
        writer = None
        for batch in source.iter_batches():
            found = pa.Table.from_batches([batch])
            found = found.rename_columns([name.upper() for name in found.column_names])
            for name, moment in (("ANCHOR_TIMESTAMP", anchor), ("JOB_TIMESTAMP", now)):
                if name in found.column_names:
                    found = found.drop_columns([name])
                text = moment.isoformat(sep=" ", timespec="seconds")
                found = found.append_column(name, pa.array([text] * found.num_rows, pa.string()))
            rows += found.num_rows
            entities.update(found["ENTITY"].unique().to_pylist())
            types = {field.name: str(field.type) for field in found.schema}
            writer = writer or pq.ParquetWriter(path, found.schema)
            writer.write_table(found)
        if writer is not None:
            writer.close()
            names.append(str(path))
    return {"files": names, "rows": rows, "entities": len(entities - {None}), "types": types}


class Objects:
    """S3, by this environment's own credentials. `write` has the parameters of every write (encryption)."""

    def __init__(self, write: dict[str, str]) -> None:
        import boto3
        from botocore.config import Config

        options: Any = {"mode": "standard", "max_attempts": 5}
        style: Any = {"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else {}
        self._client = boto3.session.Session().client("s3", config=Config(retries=options, s3=style))
        self._write = write

    def get(self, address: dict[str, str], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._client.download_file(address["bucket"], address["key"], str(path))

    def put(self, path: Path, address: dict[str, str]) -> None:
        self._client.upload_file(str(path), address["bucket"], address["key"], ExtraArgs=self._write)

    def rows(self, addresses: list[dict[str, str]], folder: Path) -> int:
        """Fetch Parquet files into a folder, in types that the Engine knows; how many rows they have.

        Snowflake unloads a NUMBER as DECIMAL, whose whole numbers are keys here.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder.mkdir(parents=True)
        total = 0
        for number, address in enumerate(addresses):
            raw = folder.parent / f"{folder.name}.fetched"
            self.get(address, raw)
            source = pq.ParquetFile(raw)
            fields = [pa.field(field.name, _simple(field.type)) for field in source.schema_arrow]
            with pq.ParquetWriter(folder / f"part-{number:05d}.parquet", pa.schema(fields)) as writer:
                for batch in source.iter_batches():
                    writer.write_batch(batch.cast(pa.schema(fields)))
                    total += batch.num_rows
            raw.unlink()
        return total


def _simple(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        return pa.int64() if kind.scale == 0 else pa.float64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    return kind


def pack(folder: Path, packed: Path) -> None:
    """One archive of a folder's files, without times or owners: equal bundles are equal archives."""

    def plain(item: tarfile.TarInfo) -> tarfile.TarInfo:
        item.mtime, item.uid, item.gid, item.uname, item.gname = 0, 0, 0, "", ""
        return item

    with tarfile.open(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder), recursive=False, filter=plain)


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def peak_memory() -> int:
    """The most memory that this process had at once, in bytes (Linux counts it in KiB)."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
