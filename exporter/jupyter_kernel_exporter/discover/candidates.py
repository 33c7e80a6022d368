"""The process table -> the processes that name a connection file, or are named by one."""

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from jupyter_kernel_exporter.discover.arguments import (
    Mention,
    find_mentions,
    is_ipykernel,
    is_jupyter,
    runs_ipykernel,
)
from jupyter_kernel_exporter.discover.attribution import VARIABLES
from jupyter_kernel_exporter.discover.candidate import Candidate
from jupyter_kernel_exporter.discover.lookout import Lookout
from jupyter_kernel_exporter.discover.runtime import RUNTIME_VARIABLES, RuntimeDirs, runtime_dir
from jupyter_kernel_exporter.discover.users import Users
from jupyter_kernel_exporter.linux.proc import (
    GONE,
    read_arguments,
    read_ending,
    read_environment,
    read_forked,
    read_namespace_status,
)
from jupyter_kernel_exporter.linux.proctable import Process


class _Hint(NamedTuple):
    """What the command line and environment of a Jupyter process say of where it keeps files."""

    arguments: int
    runtime_dir: str
    own_file: str
    """Where it would write its connection file, if it is a kernel that was given none."""


class Candidates:
    """All candidates, kept in line with the process table. Times are seconds since boot."""

    def __init__(
        self, procfs: str, runtime: RuntimeDirs | None, users: Users, own_dir: str, *, environ: bool
    ) -> None:
        self._procfs = procfs
        self._runtime = runtime
        self._users = users
        self._own_dir = own_dir
        self._may_read_environ = environ
        self._lookout = Lookout()
        self._uids: dict[int, int] = {}
        self._hints: dict[int, _Hint] = {}
        self._of_process: dict[int, dict[str, Candidate]] = {}
        self._of_path: dict[str, list[Candidate]] = {}
        self._kernel_went = False

    def __iter__(self) -> Iterator[Candidate]:
        return (c for found in self._of_process.values() for c in found.values())

    @property
    def table(self) -> Mapping[int, Process]:
        """The process table that they were brought in line with."""
        return self._lookout.table

    def of_process(self, pid: int) -> Collection[Candidate]:
        """All that are this process, with one file or another."""
        return self._of_process.get(pid, {}).values()

    def due(self, now: float) -> list[list[Candidate]]:
        """Those to look into now, with all others that name the same path; oldest process first."""
        paths = {c.path for c in self if c.due <= now}
        groups = [self._of_path[path] for path in paths]
        return sorted(groups, key=lambda group: min(c.process.id[::-1] for c in group))

    def next_due(self) -> float:
        """When there is something to look into again; the past while a process is young."""
        if self._lookout.has_young:
            return -math.inf
        return min((c.due for c in self), default=math.inf)

    def update(self, table: Mapping[int, Process], now: float) -> bool:
        """Follow the process table; whether a process went that was a kernel."""
        self._kernel_went = False
        changes = self._lookout.follow(table, now)
        for process in changes.went:
            self._uids.pop(process.id.pid, None)
            self._hints.pop(process.id.pid, None)
            self._drop(list(self.of_process(process.id.pid)), now)
        for process in changes.came:
            self._note_owner(process.id.pid)
        if changes.came or changes.went:
            self._watch_dirs()
        for process in changes.look:
            self._look(process, now)
        if self._runtime is not None:
            for pid in self._runtime.scan(now):
                if pid in table:
                    self._look(table[pid], now)
        return self._kernel_went

    def _note_owner(self, pid: int) -> None:
        try:
            self._uids[pid] = os.stat(f"{self._procfs}/{pid}").st_uid
        except GONE:
            self._uids.pop(pid, None)

    def _watch_dirs(self) -> None:
        """Only users who run something have their home looked into: a host may know thousands."""
        if self._runtime is None:
            return
        dirs = {self._own_dir} | {hint.runtime_dir for hint in self._hints.values()}
        for uid in set(self._uids.values()):
            dirs.add(runtime_dir({}, self._users.get(uid).home))
        self._runtime.watch(dirs - {""})

    def _drop(self, candidates: Sequence[Candidate], now: float) -> None:
        for candidate in candidates:
            pid, path = candidate.process.id.pid, candidate.path
            del self._of_process[pid][path]
            if not self._of_process[pid]:
                del self._of_process[pid]
            self._of_path[path].remove(candidate)
            self._stir(path, now)
            if not self._of_path[path]:
                del self._of_path[path]
            self._kernel_went |= candidate.kernel is not None

    def _stir(self, path: str, now: float) -> None:
        """Somebody with this path came, changed or went: look into all of them again."""
        for candidate in self._of_path[path]:
            candidate.stirred_at = now
            candidate.due = math.inf if candidate.settled else now

    def _look(self, process: Process, now: float) -> None:
        """Read the command line of a process, and bring its candidates in line with it."""
        pid = process.id.pid
        try:
            arguments = read_arguments(self._procfs, pid) or []
        except PermissionError:  # /proc is mounted with hidepid=1
            return
        mentions = find_mentions(arguments)
        known = self._of_process.get(pid, {})
        files = self._runtime.files_of(pid) if self._runtime and arguments else []
        jupyter = is_jupyter(arguments)
        if not (mentions or known or files or jupyter):
            return
        digest = hash(tuple(arguments))
        hint = self._take_hint(process, arguments, digest) if jupyter else None
        wanted = {path: Mention(path, in_string=False) for path in files}
        named = set()
        for mention in mentions:
            for path in self._places(mention, pid, hint):
                wanted[path] = mention
                named.add(path)
        if hint and hint.own_file and not mentions:
            wanted.setdefault(hint.own_file, Mention(hint.own_file))
        if arguments:
            # A kernel may overwrite its command line. It stays one as long as it has the ports.
            for candidate in known.values():
                if candidate.settled and candidate.kernel is not None:
                    wanted.setdefault(candidate.path, Mention(candidate.path))
        self._drop([c for c in known.values() if c.path not in wanted], now)
        for path, mention in wanted.items():
            candidate = known.get(path) or Candidate(process, path)
            if path in known and candidate.arguments == digest:
                continue
            if self.describe(candidate):
                candidate.arguments = digest
                candidate.named = path in named
                candidate.in_string = mention.in_string
                candidate.runs_ipykernel = runs_ipykernel(arguments)
                candidate.settled = candidate.outlived = False
                if path not in known:
                    self._of_process.setdefault(pid, {})[path] = candidate
                    self._of_path.setdefault(path, []).append(candidate)
                self._stir(path, now)

    def describe(self, candidate: Candidate) -> bool:
        """Read what the process says of itself; false if it is gone, or about to go."""
        pid = candidate.process.id.pid
        status = read_namespace_status(self._procfs, pid)
        forked = read_forked(self._procfs, pid)
        if status is None or forked is None:
            return False
        environ = self._read_environment(pid)
        if read_ending(self._procfs, pid):
            return False  # its environment may have been gone already
        candidate.uid = status.uid
        candidate.forked = forked
        candidate.environ = environ
        return True

    def _take_hint(self, process: Process, arguments: Sequence[str], digest: int) -> _Hint:
        pid = process.id.pid
        hint = self._hints.get(pid)
        if hint is not None and hint.arguments == digest:
            return hint
        environ = self._read_environment(pid)
        folder = own_file = ""
        if environ is not None:
            uid = self._uids.get(pid)
            home = "" if uid is None else self._users.get(uid).home
            folder = runtime_dir(environ, home)
        status = read_namespace_status(self._procfs, pid)
        if folder and status is not None and is_ipykernel(arguments):
            own_file = f"{folder}/kernel-{status.inner_pid}.json"
        self._hints[pid] = hint = _Hint(digest, folder, own_file)
        self._watch_dirs()
        return hint

    def _places(self, mention: Mention, pid: int, hint: _Hint | None) -> Iterator[str]:
        """Where a file is that a command line names: ipykernel looks for a bare name in two."""
        if mention.path.startswith("/"):
            yield os.path.normpath(mention.path)
            return
        try:
            yield os.path.normpath(
                os.path.join(os.readlink(f"{self._procfs}/{pid}/cwd"), mention.path)
            )
        except (*GONE, PermissionError):
            # Its own name is all there is, then.
            yield mention.path
        if hint and hint.runtime_dir and "/" not in mention.path:
            yield f"{hint.runtime_dir}/{mention.path}"

    def _read_environment(self, pid: int) -> Mapping[str, str] | None:
        """A few variables; ``None`` if they may not be read, or if the process is gone."""
        if not self._may_read_environ:
            return None
        try:
            return read_environment(self._procfs, pid, (*VARIABLES, *RUNTIME_VARIABLES))
        except PermissionError:
            return None
