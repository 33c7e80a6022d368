"""Records what memory of real kernels does while they run what people run.

    PYTHON tools/record_traces.py [NAME ...]

Needs a Python with ipykernel, jupyter_client, numpy and pandas (``pip install`` them in a virtual
environment of their own: the exporter needs none of the last two). Each scene starts a kernel, runs
one cell and reads /proc/PID/status each half second. What comes out is a CSV file a scene in
tests/fixtures/traces: seconds since the cell began, KiB that the kernel's cgroup could not take
back (RssAnon + RssShmem + VmSwap of proc_pid_status(5)), and KiB resident, files included.

The limit of a scene is not enforced: where a kernel reaches it, it is ended, as linux would. All
scenes take some twenty minutes, a few GiB of memory and 300 MB under the temporary directory.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

OUT = Path(__file__).parent.parent / "tests" / "fixtures" / "traces"
MIB = 1024**2
STEP_SECONDS = 0.5


class Scene(NamedTuple):
    """One cell, and what it is to come to."""

    limit: int
    """Bytes."""
    label: str
    seconds: float
    code: str


MAKE_CSV = """
import csv, random, os
path = "{folder}/table.csv"
if not os.path.exists(path):
    rng = random.Random(1)
    with open(path + ".part", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "when", "city", "amount", "share"])
        for k in range(4_000_000):
            rows.writerow([k, k % 86400, f"city {{k % 997}}", rng.randrange(10**6), rng.random()])
    os.rename(path + ".part", path)
"""
SCENES = {
    "list_append": Scene(
        512 * MIB,
        "exhausting",
        300,
        """
import time
rows = []
while True:
    for k in range(20_000):
        rows.append({"id": k, "text": f"row {k}"})
    time.sleep(0.5)
""",
    ),
    "objects_by_megabyte": Scene(
        768 * MIB,
        "exhausting",
        300,
        """
import time
kept = []
while True:
    kept.append(b"x" * 2**20)
    time.sleep(0.125)
""",
    ),
    "balloon": Scene(
        1024 * MIB,
        "exhausting",
        120,
        """
import time
import numpy as np
time.sleep(20)
kept = []
while True:
    kept.append(np.ones(6 * 2**20 // 8))
    time.sleep(0.1)
""",
    ),
    "csv_at_once": Scene(
        1024 * MIB,
        "benign",
        180,
        """
import time
import pandas as pd
time.sleep(10)
table = pd.read_csv("{folder}/table.csv")
for _ in range(20):
    table.groupby("city").amount.mean()
    time.sleep(5)
""",
    ),
    "csv_chunks": Scene(
        512 * MIB,
        "benign",
        180,
        """
import time
import pandas as pd
for _ in range(4):
    sums = None
    for chunk in pd.read_csv("{folder}/table.csv", chunksize=100_000):
        part = chunk.groupby("city").amount.sum()
        sums = part if sums is None else sums.add(part, fill_value=0)
        time.sleep(0.2)
    time.sleep(10)
""",
    ),
    "csv_chunks_kept": Scene(
        512 * MIB,
        "exhausting",
        600,
        """
import time
import pandas as pd
kept = []
while True:
    for chunk in pd.read_csv("{folder}/table.csv", chunksize=40_000):
        kept.append(chunk)
        time.sleep(1)
""",
    ),
    "array_maths": Scene(
        1024 * MIB,
        "benign",
        180,
        """
import time
import numpy as np
rng = np.random.default_rng(1)
for _ in range(1000):
    n = int(rng.integers(500, 5000))
    a = rng.random((n, n))
    b = np.sqrt(a * a + 1) - a.mean(axis=0)
    c = (a + b) / 2
    time.sleep(float(rng.random()))
    del a, b, c
""",
    ),
    "memory_mapped": Scene(
        512 * MIB,
        "benign",
        150,
        """
import time
import numpy as np
shape = (300 * 2**20 // 8,)
array = np.memmap("{folder}/mapped.bin", dtype="f8", mode="w+", shape=shape)
for k in range(0, shape[0], 2**19):
    array[k : k + 2**19] = k
    time.sleep(0.5)
total = 0.0
for _ in range(20):
    total += float(array.sum())
    time.sleep(2)
""",
    ),
    "training_epochs": Scene(
        512 * MIB,
        "benign",
        180,
        """
import time
import numpy as np
rng = np.random.default_rng(1)
x, y = rng.random((60_000, 200)), rng.random((60_000, 1))
w1, w2 = rng.random((200, 100)) / 10, rng.random((100, 1)) / 10
losses = []
while True:
    order = rng.permutation(len(x))
    shuffled, wanted = x[order], y[order]
    for k in range(0, len(x), 2000):
        batch, want = shuffled[k : k + 2000], wanted[k : k + 2000]
        hidden = np.tanh(batch @ w1)
        error = hidden @ w2 - want
        w2 -= 1e-5 * hidden.T @ error
        w1 -= 1e-5 * batch.T @ ((error @ w2.T) * (1 - hidden**2))
        time.sleep(0.1)
    losses.append(float((error**2).mean()))
    del shuffled, wanted
    time.sleep(3)
""",
    ),
    "training_keeps_outputs": Scene(
        768 * MIB,
        "exhausting",
        400,
        """
import time
import numpy as np
rng = np.random.default_rng(1)
x = rng.random((40_000, 200))
w = rng.random((200, 100)) / 10
history = []
while True:
    shuffled = x[rng.permutation(len(x))]
    for k in range(0, len(x), 4000):
        hidden = np.tanh(shuffled[k : k + 4000] @ w)
        time.sleep(0.4)
    history.append(np.tanh(x @ w))
    del shuffled
    time.sleep(3)
""",
    ),
    "cycles_collected": Scene(
        512 * MIB,
        "benign",
        180,
        """
import gc, time
gc.disable()
class Node:
    def __init__(self):
        self.data = b"x" * 200_000
        self.me = self
while True:
    for _ in range(600):
        Node()
        time.sleep(0.02)
    gc.collect()
    time.sleep(1)
""",
    ),
    "frames_derived": Scene(
        1536 * MIB,
        "benign",
        180,
        """
import time
import numpy as np
import pandas as pd
rng = np.random.default_rng(1)
time.sleep(15)
raw = pd.DataFrame(rng.random((1_500_000, 20)))
time.sleep(30)
clean = raw[raw[0] > 0.2].copy()
time.sleep(30)
merged = clean.merge(clean[[0]].rolling(10).mean(), left_index=True, right_index=True)
time.sleep(40)
del raw
time.sleep(60)
""",
    ),
}


def main() -> int:
    """Record the scenes that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENES))
    names = parser.parse_args().names or list(SCENES)
    unknown = [name for name in names if name not in SCENES]
    if unknown:
        parser.error(f"no scene {unknown[0]}")
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="traces-") as folder:
        if any("table.csv" in SCENES[name].code for name in names):
            exec(MAKE_CSV.format(folder=folder))  # one table for all scenes
        for name in names:
            rows = record(SCENES[name], folder)
            (OUT / f"{name}.csv").write_text(
                f"# limit_bytes={SCENES[name].limit} label={SCENES[name].label}\n"
                "seconds,counted_kib,resident_kib\n" + "".join(rows)
            )
            print(f"{name}: {len(rows)} samples, last {rows[-1].strip()}", flush=True)
    return 0


def record(scene: Scene, folder: str) -> list[str]:
    """Run the scene's cell in a kernel of its own; its memory as lines of CSV."""
    manager = KernelManager()
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    rows: list[str] = []
    try:
        client.wait_for_ready(timeout=60)
        assert isinstance(manager.provisioner, LocalProvisioner)
        pid = manager.provisioner.pid
        started = time.monotonic()
        client.execute(scene.code.replace("{folder}", folder))
        for k in range(int(scene.seconds / STEP_SECONDS)):
            time.sleep(max(0.0, started + k * STEP_SECONDS - time.monotonic()))
            counted, resident = parse_status(Path(f"/proc/{pid}/status").read_text())
            rows.append(f"{time.monotonic() - started:.1f},{counted},{resident}\n")
            if counted * 1024 >= scene.limit:
                break
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return rows


def parse_status(text: str) -> tuple[int, int]:
    """KiB that cannot be taken back, and KiB resident, of a /proc/PID/status.

    RssAnon:     123456 kB
    """
    fields = dict(line.split(":", 1) for line in text.splitlines())
    kib = {name: int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem", "VmSwap")}
    return sum(kib.values()), int(fields["VmRSS"].split()[0])


if __name__ == "__main__":
    sys.exit(main())
