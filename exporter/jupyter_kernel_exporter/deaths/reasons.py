"""What each reason means, and what helps: one line each, for the page, the API and the docs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from jupyter_kernel_exporter.deaths.record import Reason

R = Reason


class Meaning(NamedTuple):
    """A reason in plain words."""

    meaning: str
    advice: str


MEANINGS: Mapping[Reason, Meaning] = MappingProxyType(
    {
        R.OOM_CGROUP: Meaning(
            "Its container, pod or slice reached its memory limit, and linux killed it.",
            "Load less at once, free what is no longer used, or ask for a higher memory limit.",
        ),
        R.OOM_HOST: Meaning(
            "The whole machine ran out of memory, and linux chose this kernel.",
            "Look who used the memory, perhaps somebody else; give each user a limit.",
        ),
        R.OOM_SUSPECTED: Meaning(
            "It was killed while linux was killing for memory; no record says that it was meant.",
            "Compare its last memory with its limit; let the exporter read /dev/kmsg to be sure.",
        ),
        R.SEGFAULT: Meaning(
            "Native code touched memory that it must not touch (SIGSEGV, SIGBUS).",
            "Suspect compiled packages: update or pin them, and turn on faulthandler; very deep"
            " recursion in native code does it, too.",
        ),
        R.ABORT: Meaning(
            "Native code gave up by itself (SIGABRT): an assertion, an uncaught C++ exception.",
            "Run the cell's code as a script: its last lines on stderr say what failed.",
        ),
        R.FATAL_SIGNAL: Meaning(
            "Linux ended it for what it did or used up (SIGFPE, SIGILL, SIGSYS, SIGXCPU, ...).",
            "SIGILL: a package built for a newer processor; SIGSYS: a sandbox; SIGXCPU or the CPU"
            " limit: raise `ulimit -t`.",
        ),
        R.KILLED: Meaning(
            "Somebody sent SIGKILL: neither linux for memory, nor Jupyter, as far as can be seen.",
            "Ask who may kill here: an administrator, a batch system, earlyoom or systemd-oomd.",
        ),
        R.TERMINATED: Meaning(
            "Somebody sent SIGTERM, SIGHUP, SIGINT or another polite signal, not through Jupyter.",
            "Ask who ends processes here: a logout, a service being stopped, earlyoom, a person.",
        ),
        R.STARTUP_FAILED: Meaning(
            "It ended before it was ever ready.",
            "Run the kernelspec's command by hand: mostly a module is missing or an environment"
            " is broken.",
        ),
        R.EXIT_ERROR: Meaning(
            "It ended by itself with an exit status above 0.",
            "Look for os._exit() in the code and in its libraries, and for handlers that exit.",
        ),
        R.EXIT_CLEAN: Meaning(
            "It ended by itself with exit status 0, and nobody had asked for it through Jupyter.",
            "Mostly exit() or quit() in a cell; in a script that was pasted, leave it out.",
        ),
        R.RESTART_REQUESTED: Meaning(
            "A person asked Jupyter to restart it.",
            "Nothing is wrong.",
        ),
        R.SHUTDOWN_REQUESTED: Meaning(
            "A person asked Jupyter to shut it down, or the idle culler did without being seen.",
            "Nothing is wrong; if nobody did, look at the culler's settings.",
        ),
        R.CULLED: Meaning(
            "Jupyter's idle culler shut it down.",
            "Save results in files; ask for a longer cull_idle_timeout if it comes too soon.",
        ),
        R.SERVER_SHUTDOWN: Meaning(
            "Its Jupyter server was stopped in an orderly way, and its kernels with it.",
            "Nothing is wrong; if nobody stopped it, look at the hub's culler of servers.",
        ),
        R.SERVER_DIED: Meaning(
            "Its Jupyter server vanished under it: crashed, was killed, or its container was.",
            "Look at the server's own end: its log, its memory limit, what its node says.",
        ),
        R.UNKNOWN: Meaning(
            "It ended, and nothing says why.",
            "See which sources were missing; `jupyter-kernel-exporter doctor` says what to do.",
        ),
    }
)

REFINES: Mapping[Reason, frozenset[Reason]] = MappingProxyType(
    {reason: frozenset[Reason]() for reason in Reason}
    | {
        R.SHUTDOWN_REQUESTED: frozenset({R.CULLED}),
        R.EXIT_ERROR: frozenset({R.STARTUP_FAILED}),
        R.EXIT_CLEAN: frozenset({R.STARTUP_FAILED}),
    }
)
"""Reasons that say the same as a reason, and more: by its meaning it stays true beside them."""
