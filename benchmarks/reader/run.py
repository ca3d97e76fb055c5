"""CPU a lookup, this reader against boto3, aiobotocore and Feast: one table of ratios from one run on one machine.

    .venv/bin/python benchmarks/reader/run.py [--seconds 2] [--rounds 3] [--server fast|ministack|both] [--no-feast]

Peers run in turns, round by round, each in its own process, against the same server with the same contents; the figure
is the median of the rounds. aiobotocore and Feast pin botocore, so each has an environment of its own under .venv-bench,
made on demand. Results are also written to benchmarks/results/reader.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENTS = {"aiobotocore": ["aiobotocore"], "feast": ["feast[aws]==0.67.0"]}
# (what, against, figure, at least): the targets.
TARGETS = [
    ("kumo_serving Reader", "boto3 client", "get", 5.0),
    ("kumo_serving Reader", "feast", "get", 8.0),
    ("kumo_serving AsyncReader", "aiobotocore", "get", 5.0),
    ("kumo_serving AsyncReader", "aiobotocore", "get_concurrent", 5.0),
    ("kumo_serving Reader", "boto3 client", "many", 10.0),
    ("kumo_serving Reader", "boto3 resource", "many", 10.0),
    ("kumo_serving Reader", "feast", "many", 10.0),
    ("kumo_serving AsyncReader", "aiobotocore", "many", 10.0),
    ("kumo_serving AsyncReader", "aiobotocore", "many_concurrent", 10.0),
]


def environment(peer: str) -> str:
    """The Python that has what a peer needs, made on demand for those that pin botocore."""
    if peer not in ENVIRONMENTS:
        return sys.executable
    folder = ROOT / ".venv-bench" / peer
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"making {folder} ...", file=sys.stderr)
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv:
            subprocess.run([uv, "venv", "-q", "-p", sys.executable, str(folder)], check=True)
            subprocess.run([uv, "pip", "install", "-q", "-p", str(folder), *ENVIRONMENTS[peer]], check=True)
        else:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", *ENVIRONMENTS[peer]], check=True)
    return str(python)


@contextlib.contextmanager
def fast() -> Iterator[str]:
    """The minimal loopback server."""
    process = subprocess.Popen([sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def ministack() -> Iterator[str]:
    """The sandbox's emulator, one of this run's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tempfile.mkdtemp()
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "STATE_DIR": home}
    process = subprocess.Popen(
        [str(ROOT / ".venv-ministack" / "bin" / "ministack")],
        env={**os.environ, **settings, "LOG_LEVEL": "ERROR"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=home,
    )
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


def measure(url: str, peers: list[str], seconds: float, rounds: int) -> dict[str, dict[str, list[float]]]:
    """peer -> figure -> CPU microseconds of each round."""
    found: dict[str, dict[str, list[float]]] = {peer: {} for peer in peers}
    for turn in range(rounds):
        order = peers if turn % 2 == 0 else peers[::-1]
        for peer in order:
            script = [str(HERE / "floor.py")] if peer == "floor" else [str(HERE / "peers.py"), peer]
            command = [environment(peer), *script, url, str(seconds)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
            if done.returncode != 0:
                sys.exit(f"{peer} failed:\n{done.stderr[-3000:]}")
            for figure, microseconds in json.loads(done.stdout.splitlines()[-1]).items():
                found[peer].setdefault(figure, []).append(microseconds)
            print(f"  round {turn + 1} {peer}", file=sys.stderr)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--server", choices=["fast", "ministack", "both"], default="fast")
    options.add_argument("--no-feast", action="store_true", help="its environment is half a gigabyte")
    chosen = options.parse_args()
    os.environ.update(AWS_ACCESS_KEY_ID="AKIDBENCH", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")
    from peers import PEERS, fill

    peers = [peer for peer in PEERS if not (chosen.no_feast and peer == "feast")]
    results = {}
    missed = False
    for name in ("fast", "ministack") if chosen.server == "both" else (chosen.server,):
        with {"fast": fast, "ministack": ministack}[name]() as url:
            fill(url)
            found = measure(url, [*peers, "floor"] if name == "fast" else peers, chosen.seconds, chosen.rounds)
        results[name] = found
        missed |= report(name, found)
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reader.json").write_text(json.dumps(results, indent=2))
    sys.exit(1 if missed else 0)


def report(server: str, found: dict[str, dict[str, list[float]]]) -> bool:
    """Print the tables; True when a target was missed."""
    middle = {
        peer: {figure: statistics.median(rounds) for figure, rounds in figures.items()}
        for peer, figures in found.items()
    }
    floor = middle.pop("floor", {})
    print(f"\nCPU microseconds a call, median of the rounds (server: {server})")
    columns = ["get", "get_concurrent", "many", "many_concurrent"]
    print(f"{'':26}" + "".join(f"{column:>18}" for column in columns))
    for peer, figures in middle.items():
        cells = []
        for column in columns:
            if column in figures:
                rounds = found[peer][column]
                cells.append(f"{figures[column]:10.0f} ±{(max(rounds) - min(rounds)) / 2:5.0f}")
            else:
                cells.append("")
        print(f"{peer:26}" + "".join(f"{cell:>18}" for cell in cells))
    print("(many: 100 entities in one call; concurrent: 50 gets, 8 batches at a time on one event loop)")
    print("\nratio                                                          measured   target")
    missed = False
    for ours, theirs, figure, least in TARGETS:
        if theirs in middle and figure in middle[theirs]:
            ratio = middle[theirs][figure] / middle[ours][figure]
            missed |= ratio < least
            verdict = "" if ratio >= least else "  MISSED"
            print(f"{ours + ' / ' + theirs + ', ' + figure:62} {ratio:7.1f}x {least:6.0f}x{verdict}")
    if floor:
        print("\nfloor, each part measured alone (CPU microseconds)")
        for part, microseconds in floor.items():
            print(f"  {part:36}{microseconds:8.1f}")
        for figure, trip in (("get", "round trip, get"), ("many", "round trip, many")):
            least = floor[f"sign, {figure}"] + floor[trip] + floor[f"decode, {figure}"]
            print(f"  {figure}: the parts sum to {least:.0f}; Reader takes {middle['kumo_serving Reader'][figure]:.0f}")
    return missed


if __name__ == "__main__":
    main()
