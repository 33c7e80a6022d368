"""The candidates for one file -> which of them is the kernel, as far as it can be told by now."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jupyter_kernel_exporter.discover.candidate import Candidate
from jupyter_kernel_exporter.discover.candidates import Candidates
from jupyter_kernel_exporter.discover.connection import has_usual_name
from jupyter_kernel_exporter.discover.describe import describe
from jupyter_kernel_exporter.discover.files import ConnectionFiles
from jupyter_kernel_exporter.discover.identify import Facts, choose
from jupyter_kernel_exporter.discover.ports import Ports
from jupyter_kernel_exporter.discover.users import Users
from jupyter_kernel_exporter.linux.proc import read_namespace_status
from jupyter_kernel_exporter.linux.proctable import Process
from jupyter_kernel_exporter.model import Kernel

SETTLING_SECONDS = 10.0
"""Above this age a process is no wrapper any more, where nobody may see who has the ports."""
EAGER_SECONDS = 60.0
"""So long after a change every call looks for the ports; later every ``CALM_SECONDS``."""
CALM_SECONDS = 10.0
ANCESTORS_MAX = 64


def same_file(members: Sequence[Candidate]) -> list[list[Candidate]]:
    """Split the candidates for one path: in containers the same path leads to different files.

    Who could not read the file goes with the others, if those agree. The oldest process is in
    the first part, so that ids do not depend on chance.
    """
    members = sorted(members, key=lambda c: c.process.id[::-1])
    files = list(dict.fromkeys(c.file for c in members if c.file is not None))
    if len(files) <= 1:
        return [members]
    return [[c for c in members if c.file == file] for file in (*files, None)]


@dataclass(frozen=True, slots=True)
class Decider:
    """Gathers the facts for a decision, and keeps what was decided in the candidates."""

    _candidates: Candidates
    _files: ConnectionFiles
    _users: Users

    def decide(
        self, group: Sequence[Candidate], ports: Ports, now: float, boot_time: float
    ) -> bool:
        """Find the kernel among the candidates for one file; whether anything changed."""
        for candidate in group:
            # For good: it is no kernel either when the one that it was started in has ended.
            candidate.below_kernel |= self._is_below_kernel(candidate.process)
        before = next((c for c in group if c.kernel is not None), None)
        if before is None or not before.settled:
            for candidate in group:
                eager = now - candidate.stirred_at < EAGER_SECONDS
                candidate.due = now if eager else now + CALM_SECONDS
            changed = self._complain(group, now)
            changed |= self._choose(group, before, ports, now, boot_time)
        else:
            changed = False
        if any(candidate.settled for candidate in group):
            for candidate in group:
                candidate.due = math.inf
        return changed

    def _complain(self, group: Sequence[Candidate], now: float) -> bool:
        complaints = [self._files.complain(candidate, now) for candidate in group]
        return any(complaints)

    def _choose(
        self,
        group: Sequence[Candidate],
        before: Candidate | None,
        ports: Ports,
        now: float,
        boot_time: float,
    ) -> bool:
        usable = [c for c in group if c.connection is not None or c.unseen]
        facts = {c.process.id.pid: self._facts(c, ports) for c in usable}
        chosen = choose(list(facts.values()))
        after = next((c for c in usable if chosen and c.process.id.pid == chosen.pid), None)
        if after is None and before is not None:
            # It could be told a moment ago. But who only held the ports must still do so.
            known = facts.get(before.process.id.pid)
            after = before if before.named or (known is not None and known.owns) else None
        if after is not None and self._is_kernel_already(after):
            after = None
        if before is not None and before is not after:
            before.kernel = None
        if after is None:
            return before is not None
        owns = facts[after.process.id.pid].owns if after in usable else None
        ready = ports.ready(after, owns)
        if after.unseen:
            after.settled = not after.in_string and after.age(now) > SETTLING_SECONDS
        else:
            after.settled = ready is True and owns is not False
        if after.settled:
            above = {process.id for process in self._ancestors(after.process)}
            for wrapper in (c for c in group if c.process.id in above):
                wrapper.outlived = True
        if after.kernel is not None and not (ready and not after.kernel.ready):
            return False
        # By the time it is ready it may run another program, with more in its environment.
        if not self._candidates.describe(after):
            return before is not None and before is not after
        after.kernel = self._describe(after, ready, boot_time)
        return True

    def _is_kernel_already(self, candidate: Candidate) -> bool:
        """Whether its process is the kernel of another file: it cannot be that of two."""
        others = self._candidates.of_process(candidate.process.id.pid)
        return any(c.kernel is not None for c in others if c is not candidate)

    def _describe(self, candidate: Candidate, ready: bool | None, boot_time: float) -> Kernel:
        return describe(
            candidate,
            ready,
            taken={c.kernel.id for c in self._candidates if c.kernel and c is not candidate},
            table=self._candidates.table,
            boot_time=boot_time,
            files=self._files,
            users=self._users,
        )

    def _facts(self, candidate: Candidate, ports: Ports) -> Facts:
        process, environ = candidate.process, candidate.environ
        return Facts(
            pid=process.id.pid,
            parent=process.ppid,
            start_ticks=process.id.start_ticks,
            arguments=candidate.arguments,
            leads_session=process.leads_session,
            forked=candidate.is_worker,
            in_string=candidate.in_string,
            runs_ipykernel=candidate.runs_ipykernel,
            launched=None if environ is None else "JPY_PARENT_PID" in environ,
            launchers_child=process.leads_session
            and self._names_one_kernel(candidate)
            and self._has_launcher(candidate),
            below_kernel=candidate.below_kernel,
            outlived=candidate.outlived,
            needs_ports=not candidate.named,
            owns=ports.owns(candidate),
        )

    def _names_one_kernel(self, candidate: Candidate) -> bool:
        """Whether the command line names no other file that may be a kernel's."""
        others = self._candidates.of_process(candidate.process.id.pid)
        return not any(has_usual_name(c.path) for c in others if c is not candidate)

    def _has_launcher(self, candidate: Candidate) -> bool:
        """Whether JPY_PARENT_PID is its parent; as the parent is called in its own namespace."""
        launcher = (candidate.environ or {}).get("JPY_PARENT_PID")
        if not launcher:
            return False
        status = read_namespace_status(self._files.procfs, candidate.process.ppid)
        return status is not None and launcher == str(status.inner_pid)

    def _is_below_kernel(self, process: Process) -> bool:
        return any(
            c.kernel is not None
            for ancestor in self._ancestors(process)
            for c in self._candidates.of_process(ancestor.id.pid)
        )

    def _ancestors(self, process: Process) -> Iterator[Process]:
        table = self._candidates.table
        for _ in range(ANCESTORS_MAX):
            parent = table.get(process.ppid)
            if parent is None or parent.id.start_ticks > process.id.start_ticks:
                return
            yield parent
            process = parent
