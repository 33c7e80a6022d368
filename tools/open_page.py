"""Say where the daemon's page is as soon as it answers, and open it where there is a screen.

    python tools/open_page.py PID [FLAG ...]

PID is the daemon's, or of the process that is about to become it; the flags are its own.
"""

import http.client
import os
import shutil
import subprocess
import sys
import time

from jupyter_kernel_exporter.cli import read_settings
from jupyter_kernel_exporter.settings import Address, SettingError

ANY_ADDRESS = ("0.0.0.0", "::")


def answers(address: Address) -> bool:
    """Whether the daemon serves already."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=1)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> None:
    """Wait for the page for as long as the daemon lives; it says itself what is wrong."""
    daemon, *flags = sys.argv[1:]
    try:
        address: Address = read_settings(flags)[1]["web.listen-address"][0]
    except SettingError:
        return
    if address.host in ANY_ADDRESS:
        address = Address("localhost", address.port)
    while not answers(address):
        time.sleep(0.2)
        if not os.path.exists(f"/proc/{daemon}"):
            return
    print(f"\nThe page:  http://{address}/   (Ctrl-C ends it)\n", flush=True)
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if screen and shutil.which("xdg-open"):
        subprocess.run(["xdg-open", f"http://{address}/"], check=False)


if __name__ == "__main__":
    main()
