"""Settings of linux that turn one process' out-of-memory kill into the end of many.

``memory.oom.group`` of a version 2 cgroup (kernel document admin-guide/cgroup-v2): 1 says that all
processes in the cgroup and below die together; the topmost one between the victim and the limit
that was hit counts. Version 1 has no such thing. ``/proc/sys/vm/panic_on_oom`` (sysctl/vm): 1 says
that the machine stops instead of killing when it runs out, 2 that it does for a cgroup as well.
"""

import errno

from jupyter_kernel_exporter.linux.cgroup import Version


def is_unified(version: Version) -> bool:
    """Whether memory is accounted for by version 2, which has groups that are killed as one."""
    return version.current == "memory.current"


def read_kill_groups(version: Version, path: str) -> list[str]:
    """The cgroups that are killed as a whole, from the directory ``path`` up to the root."""
    groups = []
    while len(path) > len(version.root):
        if read_kills_group(path):
            groups.append(path)
        path = path.rpartition("/")[0]
    return groups


def read_kills_group(path: str) -> bool | None:
    """Whether one cgroup is killed as a whole.

    ``None`` if it is gone, or has no memory controller or linux (before 4.19) has no such file.
    """
    try:
        with open(f"{path}/memory.oom.group", "rb") as file:
            return file.read().strip() == b"1"
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed between open and read
            return None
        raise


def read_panic_on_oom(root: str) -> int:
    """``vm.panic_on_oom``: 0, 1 or 2."""
    with open(f"{root}/sys/vm/panic_on_oom", "rb") as file:
        return int(file.read())
