"""Who moved a pointer, where the machine has no name for the user: a container under a UID of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

PROGRAM = """
import os
from kumo_assets.releases.run import person
os.setuid(54321)
print(person())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can take on a UID without an entry in passwd")
def test_a_uid_without_a_passwd_entry_is_named_by_its_number() -> None:
    left = {
        name: value
        for name, value in os.environ.items()
        if name not in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME")
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=left, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == f"uid-54321@{socket.gethostname()}", done.stderr
