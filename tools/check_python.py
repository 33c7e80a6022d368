"""Say what is wrong with this Python, if it cannot make the environment. Runs on any Python 3."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # to say so is what this file is for
    sys.exit(
        "This needs Python 3.11 or later, and {} is {}.{}.\n"
        "Install one and name it: make run PYTHON=python3.12".format(
            sys.executable, *sys.version_info[:2]
        )
    )

try:
    import ensurepip  # noqa: F401  # Debian packs it apart
    import venv  # noqa: F401
except ImportError:
    sys.exit(
        f"{sys.executable} cannot make virtual environments.\n"
        "On Debian and Ubuntu: apt install python3-venv"
    )
