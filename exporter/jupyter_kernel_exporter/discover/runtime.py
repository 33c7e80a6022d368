"""Jupyter's runtime directories, for kernels whose command line names no file.

``python -m ipykernel`` and ``embed_kernel()`` write ``kernel-PID.json`` into the runtime directory
of their user once they listen. So the directories are watched for files with a number for a name,
and the process of that number is looked at. Everything else in there is of no interest: most
files are left over from kernels long gone.
"""

import glob
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

MISSING_AGE_SECONDS = 10.0
"""How often a directory that is not there, or may not be read, is tried again."""
GLOB_AGE_SECONDS = 30.0

RUNTIME_VARIABLES = ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "XDG_DATA_HOME", "HOME")

_NUMBERED = re.compile(r"kernel-([1-9][0-9]{0,9})\.json")


def runtime_dir(environ: Mapping[str, str], home: str) -> str:
    """Where Jupyter keeps its runtime files, as jupyter_core.paths.jupyter_runtime_dir has it.

    Empty if that cannot be told, which is so for a relative path.
    """
    share = environ.get("XDG_DATA_HOME") or f"{environ.get('HOME') or home}/.local/share"
    data = environ.get("JUPYTER_DATA_DIR") or f"{share}/jupyter"
    path = environ.get("JUPYTER_RUNTIME_DIR") or f"{data}/runtime"
    is_known = path.startswith("/") and not path.startswith("/.local/")  # a user without a home
    return os.path.normpath(path) if is_known else ""


@dataclass(slots=True)
class _Dir:
    modified: int = -1
    again: bool = False
    """A change within the clock's grain would leave the time as it is: so look once more."""
    next_try: float = 0.0
    files: dict[int, str] = field(default_factory=dict)


class RuntimeDirs:
    """The numbered connection files of some directories; lists what has changed, and only that."""

    def __init__(self, globs: Sequence[str], rootfs: str = "/") -> None:
        self._rootfs = "" if rootfs == "/" else rootfs
        self._globs = globs
        self._globbed: frozenset[str] = frozenset()
        self._globs_due = 0.0
        self._watched: frozenset[str] = frozenset()
        self._dirs: dict[str, _Dir] = {}
        self._numbered: dict[int, list[str]] = {}

    def watch(self, paths: Collection[str]) -> None:
        """These directories from now on, beside those of the globs."""
        self._watched = frozenset(paths)
        self._keep()

    def scan(self, now: float) -> set[int]:
        """Look again; the numbers of which there are new files since the last scan."""
        if self._globs and now >= self._globs_due:
            self._globs_due = now + GLOB_AGE_SECONDS
            found = (path for g in self._globs for path in glob.iglob(f"{self._rootfs}{g}"))
            self._globbed = frozenset(path.removeprefix(self._rootfs) for path in found)
            self._keep()
        new: set[int] = set()
        for path, known in self._dirs.items():
            if now >= known.next_try:
                new |= self._look(path, known, now)
        if new:
            self._number()
        return new

    def files_of(self, pid: int) -> list[str]:
        """Files that bear this number, old ones too: a kernel writes over the one it finds."""
        return self._numbered.get(pid, [])

    def _keep(self) -> None:
        wanted = self._watched | self._globbed
        if wanted != self._dirs.keys():
            self._dirs = {path: self._dirs.get(path) or _Dir() for path in sorted(wanted)}
            self._number()

    def _number(self) -> None:
        self._numbered = {}
        for known in self._dirs.values():
            for pid, file in known.files.items():
                self._numbered.setdefault(pid, []).append(file)

    def _look(self, path: str, known: _Dir, now: float) -> set[int]:
        """The numbers of files of one directory that were not there at the last look."""
        try:
            modified = os.stat(f"{self._rootfs}{path}").st_mtime_ns
            if modified == known.modified and not known.again:
                return set()
            names = os.listdir(f"{self._rootfs}{path}")
        except OSError:
            # Most users have no such directory, and of others it may not be read; both are
            # normal, and what it costs is said where a kernel is found and its file cannot be read.
            known.next_try = now + MISSING_AGE_SECONDS
            known.modified = -1
            return set()
        known.again = modified != known.modified
        known.modified = modified
        before = known.files.keys()
        matches = (_NUMBERED.fullmatch(name) for name in names)
        known.files = {int(m[1]): f"{path}/{m[0]}" for m in matches if m}
        return known.files.keys() - before
