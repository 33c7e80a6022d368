"""A kernel runs out of memory beside its daemon in a pid namespace that is not the machine's.

    unshare --pid --fork --mount-proc python -m support.in_container FOLDER

prints as JSON what the daemon says of that end, and of its sources.
"""

import json
import sys
from pathlib import Path

from support.daemon import running_daemon
from support.jupyter import running_server, wait_until
from support.memory_cgroup import HOG, memory_cgroup
from support.shell import tell

JOIN = """
import os, time
print(os.getpid(), file=open({!r}, 'w'))
some = bytearray(b"x" * 50_000_000)
time.sleep(3)
"""
"""The daemon has to see where it is before it ends."""

if __name__ == "__main__":
    home = Path(sys.argv[1])
    with (
        memory_cgroup(300_000_000) as cgroup,
        running_server(home / "server") as server,
        running_daemon(home, f"--runtime-dir={server.folders.runtime}") as daemon,
    ):
        kernel_id = server.start_kernel()
        server.execute(kernel_id, "1")
        code = JOIN.format(f"{cgroup}/cgroup.procs") + HOG
        tell(server.connection_file(kernel_id), code)
        query = {"kernel_id": kernel_id}
        deaths = wait_until(
            lambda: daemon.http.get("/api/v1/deaths", params=query).json()["deaths"],
            "its end is explained",
        )
        sources = daemon.http.get("/api/v1/kernels").json()["sources"]
        print(json.dumps({"death": deaths[0], "sources": sources}))
