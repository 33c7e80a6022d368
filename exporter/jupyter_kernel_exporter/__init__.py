"""Per-kernel memory, CPU and causes of death of every Jupyter kernel on a host, for Prometheus.

A kernel's data walks one way, and the rooms read in that order:

* ``cli``        argv and environment -> Settings; the sub-commands; exit codes
* ``settings``   every setting once: name, default, help
* ``log``        log lines as logfmt or JSON
* ``model``      the nouns that travel: Kernel, Sample, Snapshot
* ``service``    the daemon as a program: its threads, its start and its end
* ``daemon``     the story, one tick from top to bottom; owns what lasts between ticks
* ``sources``    the one boundary that times, limits, catches and reports
* ``discover``   1. runtime directories + process table -> the kernels alive now, and whose they are
* ``sample``     2. a kernel -> Sample: memory, CPU, I/O, limits and headroom
* ``forecast``   3. memory seen so far -> seconds to exhaustion; pure
* ``outlook``       which numbers of a kernel the forecast is fed with
* ``deaths``     4. an end is noticed, evidence gathered and joined, a reason found
* ``privacy``    how much of a person's work may be seen
* ``register``      ends as they are found out, written down, counted and shown
* ``publish``    5. Snapshot -> metric families and their text; history, in memory and on disk
* ``serve``      6. HTTP: metrics, API, page
* ``bundle``     the command that writes the files of the stack
* ``terminal``   the commands ``kernels`` and ``deaths``
* ``linux``      the operating system, read and parsed; knows nothing of Jupyter
* ``doctor``     which of all that works here, and what it takes
* ``demo``       a real Jupyter server with real kernels that behave well and badly
"""

__version__ = "0.1.0"
