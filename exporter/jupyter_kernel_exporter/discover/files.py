"""The connection files of candidates: read as the kernel sees them, and what was passed over."""

import logging
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from jupyter_kernel_exporter.discover.attribution import printable
from jupyter_kernel_exporter.discover.candidate import Candidate
from jupyter_kernel_exporter.discover.connection import (
    Cause,
    FileId,
    Refused,
    has_usual_name,
    kernel_id,
    parse_connection,
    read_file,
)

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""How long a file may be empty or half-written before that is a fault."""
GONE_AFTER_SECONDS = 10.0
"""A kernel writes its file within this time, if nobody did before it started."""
_REMEMBERED = 4096
NONE_SKIPPED: Mapping[str, int] = MappingProxyType({cause.value: 0 for cause in Cause})
"""What :meth:`ConnectionFiles.skipped` says before any file was."""


@dataclass(slots=True)
class ConnectionFiles:
    """Reads connection files, and counts those that are not used."""

    procfs: str
    rootfs: str
    enabled: bool = True
    """``--no-source.runtime_dir``: no file is read, all that is known is its name."""
    _skipped: Counter[str] = field(default_factory=lambda: Counter(NONE_SKIPPED))
    _said: OrderedDict[tuple[str, Cause], None] = field(default_factory=OrderedDict)

    def skipped(self) -> Mapping[str, int]:
        """How many files were passed over since the start, by cause; each cause is there."""
        return MappingProxyType(dict(self._skipped))

    def refresh(self, candidate: Candidate, now: float) -> None:
        """Read the file of a candidate anew, and keep in it what was found."""
        try:
            self._refresh(candidate, now)
            if candidate.connection is not None or candidate.unseen:
                kernel_id(candidate.path)
        except Refused as refused:
            if refused.cause.may_pass and candidate.connection is not None:
                return  # a kernel with encryption writes its file anew at each start
            if candidate.cause is not refused.cause:
                candidate.cause, candidate.refused_at = refused.cause, now
            candidate.connection = None
            candidate.forbidden = candidate.missing = False
        else:
            candidate.cause = None

    def _refresh(self, candidate: Candidate, now: float) -> None:
        candidate.forbidden = candidate.missing = False
        try:
            found = self.read(candidate.process.id.pid, candidate.path, candidate.uid)
        except PermissionError:
            candidate.forbidden = has_usual_name(candidate.path)
            return
        if found is None:
            candidate.missing = _may_be_cleaned_away(candidate, now)
            return
        candidate.connection = parse_connection(found[1])
        candidate.file = found[0]

    def read(self, pid: int, path: str, uid: int) -> tuple[FileId, bytes] | None:
        """Read a file of the user ``uid`` at a path as the process ``pid`` sees it.

        ``None`` if it is not there. Raises :exc:`Refused`, or :exc:`PermissionError`.
        """
        if not self.enabled or not path.startswith("/"):
            raise PermissionError
        try:
            return read_file(f"{self.procfs}/{pid}/root{path}", uid)
        except PermissionError:
            # Its root directory may not be entered; most processes have the same one as we.
            return read_file(path if self.rootfs == "/" else f"{self.rootfs}{path}", uid)

    def complain(self, candidate: Candidate, now: float) -> bool:
        """Count a file that is not used, once for each cause; whether the counts changed."""
        cause, path = candidate.cause, candidate.path
        if cause is None or (path, cause) in self._said:
            return False
        if not candidate.named:
            return False  # left over from a process that had this number before
        if cause is not Cause.BAD_NAME and not has_usual_name(path):
            return False  # some JSON file that has nothing to do with kernels
        if cause.may_pass and now - candidate.refused_at < PATIENCE_SECONDS:
            return False
        self._said[path, cause] = None
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        self._skipped[cause.value] += 1
        log.warning(
            "connection file skipped",
            extra={"file": printable(path), "cause": cause.value, "pid": candidate.process.id.pid},
        )
        return True


def _may_be_cleaned_away(candidate: Candidate, now: float) -> bool:
    """Whether it may be a running kernel whose file somebody has cleaned away."""
    return (
        candidate.named
        and candidate.process.leads_session
        and candidate.environ is not None
        and "JPY_PARENT_PID" in candidate.environ
        and candidate.age(now) > GONE_AFTER_SECONDS
        and has_usual_name(candidate.path)
    )
