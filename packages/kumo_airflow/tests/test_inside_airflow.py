"""The tests in `inside/`, run by Airflow 3.3 and by 2.11, each in its own environment (`make .airflow.stamp`)."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
INSIDE = Path(__file__).parent / "inside"


@pytest.mark.parametrize("name", ["airflow", "airflow211"])
def test_inside(name: str, tmp_path: Path) -> None:
    python = ROOT / f".venv-{name}" / "bin" / "python"
    assert python.exists(), "no environment: make .airflow.stamp"
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTEST", "PYTHON"))}
    variables |= {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
    command = [str(python), "-m", "pytest", "-c", str(INSIDE / "pytest.ini"), "-p", "no:cacheprovider", str(INSIDE)]
    done = subprocess.run(command, cwd=INSIDE, env=variables, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
