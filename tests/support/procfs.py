"""A made-up /proc of files and links, for code that is given the root of one."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jupyter_kernel_exporter.linux.proc import CLOCK_TICKS
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import ProcessId

_TCP_HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
_UNIX_HEADER = "Num       RefCount Protocol Flags    Type St Inode Path\n"


class FakeProc:
    """Processes that can be added, changed and taken away; ``table`` is what a scan would give."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table: dict[int, Process] = {}
        self._listening: dict[str, dict[int, tuple[int, int]]] = {}
        self._unix: dict[str, dict[str, int]] = {}
        folder.mkdir()

    @property
    def root(self) -> str:
        """What to give as ``procfs``."""
        return str(self.folder)

    def add(
        self,
        pid: int,
        arguments: Sequence[str],
        *,
        ppid: int = 1,
        session: int | None = None,
        started: float = 100.0,
        environ: Mapping[str, str] | None = None,
        sockets: Iterable[int] = (),
        forked: bool = False,
        uid: int | None = None,
        inner_pid: int | None = None,
        cgroup: str = "0::/\n",
        root: str = "/",
        cwd: str = "/",
        network: str = "net:[1]",
    ) -> Process:
        """Add a process, or change one; it leads its session unless told otherwise."""
        ticks = int(started * CLOCK_TICKS)
        process = Process(ProcessId(pid, ticks), ppid, pid if session is None else session)
        folder = self.folder / str(pid)
        if folder.exists():
            shutil.rmtree(folder)
        for name in ("fd", "ns"):
            (folder / name).mkdir(parents=True)
        uid = os.getuid() if uid is None else uid
        flags = 0x400040 if forked else 0x400000
        (folder / "stat").write_text(
            f"{pid} (p) S {ppid} {pid} {process.session} 0 -1 {flags} {'0 ' * 12}{ticks} "
            f"{'0 ' * 30}\n"
        )
        (folder / "status").write_text(
            f"Name:\tp\nPid:\t{pid}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
            f"NSpid:\t{pid}\t{inner_pid or pid}\n"
        )
        (folder / "cmdline").write_bytes(b"".join(os.fsencode(a) + b"\0" for a in arguments))
        pairs = (environ or {}).items()
        (folder / "environ").write_bytes(
            b"".join(os.fsencode(f"{k}={v}") + b"\0" for k, v in pairs)
        )
        (folder / "cgroup").write_text(cgroup)
        (folder / "root").symlink_to(root)
        (folder / "cwd").symlink_to(cwd)
        (folder / "ns/net").symlink_to(network)
        (folder / "net").symlink_to(self._network_folder(network))
        for number, inode in enumerate(sockets):
            (folder / f"fd/{number}").symlink_to(f"socket:[{inode}]")
        known = self.table.get(pid)
        self.table[pid] = process if known != process or known is None else known
        return self.table[pid]

    def remove(self, pid: int) -> None:
        """Take a process away."""
        del self.table[pid]
        shutil.rmtree(self.folder / str(pid))

    def listen(
        self, port: int, inode: int, *, uid: int | None = None, network: str = "net:[1]"
    ) -> None:
        """Somebody listens on a TCP port."""
        uid = os.getuid() if uid is None else uid
        self._listening.setdefault(network, {})[port] = inode, uid
        self._write(network)

    def listen_unix(self, path: str, inode: int, *, network: str = "net:[1]") -> None:
        """Somebody listens on a unix socket."""
        self._unix.setdefault(network, {})[path] = inode
        self._write(network)

    def close(self, port: int, *, network: str = "net:[1]") -> None:
        """Nobody listens on a TCP port any more."""
        del self._listening[network][port]
        self._write(network)

    def _network_folder(self, network: str) -> Path:
        if not (self.folder / network).exists():
            self._write(network)
        return self.folder / network

    def _write(self, network: str) -> None:
        folder = self.folder / network
        folder.mkdir(exist_ok=True)
        tcp = "".join(
            f"   {n}: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000"
            f" {uid:5} 0 {inode} 1 0000000000000000 100 0 0 10 0\n"
            for n, (port, (inode, uid)) in enumerate(self._listening.get(network, {}).items())
        )
        unix = "".join(
            f"0000000000000000: 00000002 00000000 00010000 0001 01 {inode} {path}\n"
            for path, inode in self._unix.get(network, {}).items()
        )
        (folder / "tcp").write_text(_TCP_HEADER + tcp)
        (folder / "unix").write_text(_UNIX_HEADER + unix)
