"""Files of /proc and cgroups that are read again and again, kept open.

A file of /proc costs more to open than to read. ``pread`` at 0 makes linux write its content anew
each time, so one open descriptor serves for the life of a process, and as it is bound to that
process, a pid that is reused cannot fool it: reads fail with ESRCH once the process is gone.
"""

import errno
import os
import resource
from dataclasses import dataclass, field

from jupyter_kernel_exporter.linux.proc import GONE

RESERVE = 256
"""Descriptors left for sockets, files and the libraries."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one; say how many there may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


@dataclass(slots=True)
class Descriptors:
    """How many files may be kept open; those over the budget are opened for each read."""

    limit: int
    kept: int = 0

    def spare(self) -> bool:
        """Whether one more may be kept."""
        return self.kept < self.limit - RESERVE


@dataclass(slots=True)
class KeptFile:
    """One file, read whole from its start as often as wanted. Close it when done."""

    path: str
    descriptors: Descriptors
    size: int = 4096
    """Most bytes to read at once; longer files are cut."""
    paged: bool = False
    """Whether linux gives no more than a page at once, as it does where each row is a record of its
    own (seq_file.rst): such a file is read on to its end."""
    _fd: int = field(default=-1, init=False)

    def read(self) -> bytes | None:
        """The file's content now, ``None`` if its process or cgroup is gone.

        Raises :exc:`PermissionError` where it may not be read.
        """
        try:
            if self._fd < 0:
                return self._open_and_read()
            raw = os.pread(self._fd, self.size, 0)
            return raw if not self.paged else self._read_on(self._fd, raw)
        except GONE:
            return None
        except OSError as error:
            if error.errno == errno.ENODEV:  # what open files of a removed cgroup answer
                return None
            raise

    def _open_and_read(self) -> bytes:
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        if self.descriptors.spare():
            self._fd = fd
            self.descriptors.kept += 1
        try:
            raw = os.pread(fd, self.size, 0)
            return raw if not self.paged else self._read_on(fd, raw)
        finally:
            if fd != self._fd:
                os.close(fd)

    def _read_on(self, fd: int, raw: bytes) -> bytes:
        while more := os.pread(fd, self.size, len(raw)):
            raw += more
        return raw

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self.descriptors.kept -= 1
