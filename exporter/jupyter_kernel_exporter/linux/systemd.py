"""What systemd does with a unit of which linux has killed a process for memory.

``OOMPolicy=`` (systemd.service(5), systemd 243; it takes version 2 cgroups): ``continue`` leaves
the rest alone, ``stop`` ends the unit, ``kill`` has linux kill all of it. Where a unit does not
say, it is ``continue`` if ``Delegate=`` is on, and else ``DefaultOOMPolicy=`` of
systemd-system.conf(5), which is ``stop``. The files are read, below a root of one's choice, rather
than systemctl asked: a container can do that as well.

    [Service]
    OOMPolicy=continue
"""

import fnmatch
import os
from collections.abc import Iterable, Iterator, Mapping

UNIT_DIRS = (
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""Where units are looked for, the first one wins (systemd.unit(5))."""
CONF_DIRS = ("etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd")
BUILT_IN_POLICY = "stop"
_NO = frozenset({"", "0", "no", "n", "false", "f", "off"})

Assignments = Mapping[tuple[str, str], str]
"""(section, key) -> value."""


def parse_unit(text: str) -> dict[tuple[str, str], str]:
    """Parse a unit or configuration file; the last of two assignments of a key counts.

    >>> parse_unit("[Service]\\n# why\\nOOMPolicy = kill\\n")
    {('Service', 'OOMPolicy'): 'kill'}
    """
    found: dict[tuple[str, str], str] = {}
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        row = line.strip()
        if row.startswith("[") and row.endswith("]"):
            section = row[1:-1]
        elif row and row[0] not in "#;" and "=" in row:
            key, _, value = row.partition("=")
            found[section, key.strip()] = value.strip()
    return found


def is_running(rootfs: str) -> bool:
    """Whether systemd runs the machine whose root is ``rootfs`` (sd_booted(3))."""
    return os.path.isdir(f"{rootfs}/run/systemd/system")


def service_of(cgroup_path: str) -> str | None:
    """The innermost service that a cgroup belongs to: ``jupyter-ada.service``."""
    names = cgroup_path.split("/")
    return next((name for name in reversed(names) if name.endswith(".service")), None)


def find_units(rootfs: str, pattern: str) -> list[str]:
    """The names of units that there are files of: ``jupyter*.service``; no templates."""
    names: set[str] = set()
    for directory in UNIT_DIRS:
        names.update(fnmatch.filter(_names(f"{rootfs}/{directory}"), pattern))
    return sorted(name for name in names if "@." not in name)


def read_oom_policy(rootfs: str, unit: str) -> str | None:
    """``continue``, ``stop`` or ``kill``; ``None`` where no file of the unit is seen."""
    main = next(_texts(rootfs, (f"{d}/{name}" for d in UNIT_DIRS for name in _files(unit))), None)
    if main is None:
        return None
    said: dict[tuple[str, str], str] = parse_unit(main)
    for text in _texts(
        rootfs, _drop_ins(rootfs, [f"{d}/{n}.d" for n in _drop_in_names(unit) for d in UNIT_DIRS])
    ):
        said |= parse_unit(text)
    return oom_policy(said, _read_manager(rootfs))


def oom_policy(unit: Assignments, manager: Assignments) -> str:
    """What holds for a service, from what its files and those of the manager say. Pure."""
    own = unit.get(("Service", "OOMPolicy"))
    if own:
        return own
    if unit.get(("Service", "Delegate"), "").lower() not in _NO:
        return "continue"
    return manager.get(("Manager", "DefaultOOMPolicy")) or BUILT_IN_POLICY


def _read_manager(rootfs: str) -> Assignments:
    said: dict[tuple[str, str], str] = {}
    main = next(_texts(rootfs, (f"{d}/system.conf" for d in CONF_DIRS)), "")
    drop_ins = _drop_ins(rootfs, [f"{d}/system.conf.d" for d in CONF_DIRS])
    for text in (main, *_texts(rootfs, drop_ins)):
        said |= parse_unit(text)
    return said


def _files(unit: str) -> list[str]:
    """The file of a unit, or the template that it is made from."""
    name, at, rest = unit.partition("@")
    return [unit, f"{name}@.{rest.rpartition('.')[2]}"] if at else [unit]


def _drop_in_names(unit: str) -> list[str]:
    """What directories of drop-ins a unit has: its own, of its prefixes, of its type."""
    stem, _, kind = unit.rpartition(".")
    parts = stem.split("-")
    prefixes = ["-".join(parts[:n]) + f"-.{kind}" for n in range(len(parts) - 1, 0, -1)]
    return [*_files(unit), *prefixes, kind]


def _drop_ins(rootfs: str, directories: Iterable[str]) -> list[str]:
    """Drop-ins in the order in which they count; the first directory with a name hides others."""
    found: dict[str, str] = {}
    for directory in directories:
        for name in _names(f"{rootfs}/{directory}"):
            if name.endswith(".conf"):
                found.setdefault(name, f"{directory}/{name}")
    return [found[name] for name in sorted(found)]


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _texts(rootfs: str, paths: Iterable[str]) -> Iterator[str]:
    """The files that are there."""
    for path in paths:
        here = f"{rootfs}/{path}"
        try:
            target = os.readlink(here)
        except OSError:  # no link, or nothing at all, which opening it tells
            target = ""
        # A link of the host's leads to a place on the host.
        here = f"{rootfs}{target}" if target.startswith("/") else here
        try:
            with open(here, encoding="utf-8", errors="replace") as file:
                yield file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
