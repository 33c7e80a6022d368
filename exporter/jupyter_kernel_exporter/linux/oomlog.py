"""What linux' OOM killer says in the log about its victims.

mm/oom_kill.c, linux 5.3 and later; a summary (left out when many come at once: 10 in 5 s) and one
line for each process that is killed:

    oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,
        task_memcg=/a/b,task=python3,pid=9180,uid=0
    Memory cgroup out of memory: Killed process 9180 (python3) total-vm:76028kB, anon-rss:65264kB,
        file-rss:6616kB, shmem-rss:0kB, UID:0 pgtables:188kB oom_score_adj:0
    Tasks in /a are going to be killed due to memory.oom.group set

``oom_memcg`` is whose limit was hit, ``global_oom`` stands there if the machine ran out. Linux
before 5.0 (4.19) has no summary, and the victim may be a child of the process named first:

    Task in /a/b killed as a result of limit of /a
    Memory cgroup out of memory: Kill process 18286 (java) score 933 or sacrifice child
    Killed process 18286 (java) total-vm:4575664kB, anon-rss:57784kB, file-rss:1240kB, shmem-rss:0kB

All of it is text with names in it that users choose. Lines are taken from their first character
on; a process' name has at most 15 bytes, too few for a line of its own; and the numbers that
count stand before the name, or at the very end.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from jupyter_kernel_exporter.linux.kmsg import Record
from jupyter_kernel_exporter.model import Scope

REPEATED_SECONDS = 5.0
"""With memory.oom.group the first victim is named twice. No pid comes back so soon."""
GROUP_SECONDS = 1.0
"""A cgroup is killed at one go, and said to be at one go."""
TORN_MAX = 16384
"""Characters of a summary that is put together from several records."""


class OomKill(NamedTuple):
    """A process that the OOM killer took."""

    pid: int
    """In the first pid namespace. The id of another thread where the first one had ended before,
    and with the sysctl ``vm.oom_kill_allocating_task``."""
    comm: str
    scope: Scope | None
    """CGROUP: a limit was hit; HOST: the machine ran out (or one of its memory nodes). ``None`` if
    linux did not say: before 5.0, when the line before was lost."""
    limit_path: str | None
    """The cgroup whose limit was hit, in the memory hierarchy; ``None`` if linux did not say."""
    task_path: str | None
    """The cgroup that the victim was in; ``None`` if linux did not say."""
    total_vm_bytes: int
    anon_rss_bytes: int
    file_rss_bytes: int
    shmem_rss_bytes: int | None
    at: float
    """On the clock of :class:`.kmsg.Record`. The process ends some milliseconds later."""
    sequence: int
    """Of the record: tells a kill that is read twice from a second one."""


class _Cause(NamedTuple):
    """Whose limit was hit; linux says it before it names the victims."""

    victim: int | None
    limit_path: str | None
    task_path: str | None


_BEGIN = re.compile(r".{1,15} invoked oom-killer: ", re.DOTALL)
# The end of a summary; a name has 15 bytes at most, and may look like the rest.
_VICTIM = re.compile(r",task=.{0,15},pid=(?P<pid>\d+),uid=\d+\Z", re.DOTALL)
_LIMIT = re.compile(r"Task in (?P<task>.*) killed as a result of limit of (?P<limit>.*)", re.DOTALL)
_CHOSEN = re.compile(r"(?P<what>(?:Memory cgroup o|O)ut of memory[^:]*): Kill process \d+ \(")
_GROUP = re.compile(r"Tasks in .* are going to be killed due to memory\.oom\.group set", re.DOTALL)
_KILLED = re.compile(
    r"(?:(?P<what>(?:Memory cgroup o|O)ut of memory[^:]*): )?"
    r"Killed process (?P<pid>\d+) \((?P<comm>.*)\),?(?: UID \d+,)? "
    r"total-vm:(?P<total>\d+)kB, anon-rss:(?P<anon>\d+)kB, file-rss:(?P<file>\d+)kB"
    r"(?:, shmem-rss:(?P<shmem>\d+)kB)?",
    re.DOTALL,
)


@dataclass(slots=True)
class OomLog:
    """Puts the lines of the OOM killer together, also when they come in several readings."""

    _cause: _Cause | None = None
    _what: str | None = None
    """What linux before 5.0 says was short, for the victims named after it."""
    _group_until: float = 0.0
    """While a whole cgroup is being killed, the cause holds for others as well."""
    _torn: str = ""
    """A summary that goes on in another record."""
    _told: dict[int, float] = field(default_factory=dict)

    def read(self, records: Iterable[Record]) -> list[OomKill]:
        """The kills that these records of linux tell of, each once."""
        kills = (self._read(record) for record in records)
        return [kill for kill in kills if kill is not None]

    def _read(self, record: Record) -> OomKill | None:
        text = record.text
        if self._torn and record.continues:
            self._torn = text = self._torn + text
        if text.startswith("oom-kill:"):
            self._cause = _parse_summary(text)
            self._torn = "" if self._cause else text[:TORN_MAX]
            self._group_until = 0.0
        elif _BEGIN.match(text):
            self._cause, self._what, self._group_until, self._torn = None, None, 0.0, ""
        elif found := _LIMIT.fullmatch(text):
            self._cause = _Cause(None, found["limit"], found["task"])
        elif found := _CHOSEN.match(text):
            self._what = found["what"]
        elif _GROUP.fullmatch(text):
            self._group_until = record.at + GROUP_SECONDS
        elif found := _KILLED.match(text):
            return self._kill(found, record)
        return None

    def _kill(self, found: re.Match[str], record: Record) -> OomKill | None:
        pid = int(found["pid"])
        told = self._told.pop(pid, None)
        self._told = {p: at for p, at in self._told.items() if record.at - at < REPEATED_SECONDS}
        self._told[pid] = record.at
        if told is not None and record.at - told < REPEATED_SECONDS:
            return None
        what = found["what"] or self._what
        cause = self._cause
        own = cause is not None and cause.victim in (pid, None)
        group = record.at <= self._group_until
        if cause is not None and own:
            self._cause = cause._replace(victim=pid)  # linux may leave out the next one's cause
        return OomKill(
            pid=pid,
            comm=found["comm"],
            scope=None if what is None else _scope(what),
            limit_path=cause.limit_path if cause and (own or group) else None,
            task_path=cause.task_path if cause and own else None,
            total_vm_bytes=int(found["total"]) << 10,
            anon_rss_bytes=int(found["anon"]) << 10,
            file_rss_bytes=int(found["file"]) << 10,
            shmem_rss_bytes=int(found["shmem"]) << 10 if found["shmem"] else None,
            at=record.at,
            sequence=record.sequence,
        )


def _parse_summary(text: str) -> _Cause | None:
    """Parse the line that begins with ``oom-kill:``; ``None`` where its end is missing."""
    victim = _VICTIM.search(text)
    if victim is None:
        return None
    head, _, task = text[: victim.start()].partition(",task_memcg=")
    _, _, limit = head.partition(",oom_memcg=")
    return _Cause(int(victim["pid"]), limit or None, task or None)


def _scope(what: str) -> Scope:
    return Scope.CGROUP if what.startswith("Memory cgroup") else Scope.HOST
