"""Whether a /proc shows every process of the machine, or hides some.

Every pid namespace has a process 1, so where there is none, others' processes are hidden
(``hidepid`` of proc(5)). And only the machine's first namespace has kthreadd, as number 2.
"""

import os


def what_hides(root: str) -> str:
    """Why ``root`` does not show every process, in a sentence; empty if it seems to."""
    if not os.path.exists(f"{root}/1"):
        return (
            f"{root} hides the processes of other users (mount option hidepid, or systemd's"
            " ProtectProc=)"
        )
    try:
        with open(f"{root}/2/comm", "rb") as file:
            name = file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        name = b""
    if name == b"kthreadd":
        return ""
    return f"{root} shows the processes of one container or sandbox only (its pid namespace)"
