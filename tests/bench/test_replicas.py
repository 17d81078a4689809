"""Of two real replicas one dies, their Redis hangs, and no client sees anything wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "replicas.py"
SHORT = (
    "--requests 1500 --replicas 2 --minutes 0.5 --questions 300 --seed 1"
    " --invalidate-every 400 --fault-every 400"
).split()


def test_nothing_is_lost_or_wrong_while_a_replica_and_redis_fail() -> None:
    faults = ["--faults", "kill a replica", "pause redis"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *SHORT, *faults],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    counted = dict(re.findall(r"^\| ([a-z ]+) \| ([\d,]+) \|$", done.stdout, re.MULTILINE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(int(counted[fault]) >= 1 for fault in faults[1:])
    assert int(counted["invalidations"]) >= 2
    assert int(counted["semantic"]) > 0
