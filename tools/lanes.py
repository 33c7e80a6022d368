"""Run the tests in two processes: those that compute, and beside them those that mostly wait.

    python tools/lanes.py [ARGUMENT OF PYTEST ...]

Tests that compute would disturb each other's clocks, so they stay one after the other. What the
others say is shown when all is done. Exit status 1 if a test failed, 5 if there was none.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence

NO_TESTS = 5


def main(arguments: Sequence[str]) -> int:
    """The exit status of both lanes together."""

    def lane(name: str) -> list[str]:
        return [sys.executable, "-m", "pytest", f"--lane={name}", *arguments]

    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        # Ctrl-C reaches both, and both tidy up.
        subprocess.Popen(lane("patient"), stdout=said, stderr=subprocess.STDOUT) as patient,
    ):
        try:
            busy = subprocess.run(lane("busy"), check=False).returncode
        finally:
            patient.wait()
            said.seek(0)
            sys.stdout.write(said.read())
    return worse(busy, patient.returncode)


def worse(one: int, other: int) -> int:
    """Of two exit statuses that which counts: a lane without tests is no fault of the other."""
    if one == other == NO_TESTS:
        return NO_TESTS
    ran = {status for status in (one, other) if status != NO_TESTS}
    # Negative is the signal that ended it.
    return max(1 if status < 0 else status for status in ran)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
