"""Run the daemon as a container's engine would, with no engine: the host's processes, and an own
network, mount table and root, with the host's files read-only below a directory.

    python -m support.shape CAPABILITIES HOST COMMAND --web.listen-address=127.0.0.1:PORT ...

CAPABILITIES: with commas between them as in ``cap_add``, or ``all``. HOST: an empty directory that
the host's files will be at. What listens in its network is reached at the same address outside.
"""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading

from jupyter_kernel_exporter.linux import netns

INSIDE = """
mount --rbind / "$0"
mount -o remount,bind,ro "$0"
ip link set lo up
exec "$@"
"""


def rights(capabilities: str) -> list[str]:
    """The command that leaves these capabilities only, and no way to more."""
    if capabilities == "all":
        return []
    kept = "".join(f",+{name.lower()}" for name in capabilities.split(","))
    return ["setpriv", "--inh-caps=-all", f"--bounding-set=-all{kept}", "--no-new-privs"]


def forward(port: int, pid: int) -> None:
    """Connections to a port of loopback, to the same port in the network of a process."""
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        outside, _ = listener.accept()
        try:
            inside = netns.within(
                f"/proc/{pid}/ns/net", lambda: socket.create_connection(("127.0.0.1", port))
            )
        except OSError:  # it does not listen yet
            outside.close()
            continue
        for source, target in ((outside, inside), (inside, outside)):
            threading.Thread(target=copy, args=(source, target), daemon=True).start()


def copy(source: socket.socket, target: socket.socket) -> None:
    """All that comes, to its end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def main(capabilities: str, host: str, *command: str) -> int:
    """Run it; its exit status."""
    port = int(re.findall(r"--web\.listen-address=127\.0\.0\.1:(\d+)", " ".join(command))[0])
    child = subprocess.Popen(
        [
            *("unshare", "--net", "--mount", "--uts", "--ipc", "--propagation=slave"),
            *("sh", "-ec", INSIDE, host, *rights(capabilities), *command),
        ]
    )
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=forward, args=(port, child.pid), daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
