"""Whether the exporter in this container is well, for the container's health check.

    python -m jupyter_kernel_exporter.serve.probe

Behind a lock too: an exporter that asks for a password, or for a certificate, is there and well as
far as anybody can tell who has none.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping

from jupyter_kernel_exporter.settings import Address, environment_name, parse_address

PATIENCE_SECONDS = 4.0


def own_address(environ: Mapping[str, str]) -> Address:
    """Where to ask: the first address of the environment, by the loopback if it is every one."""
    given = environ.get(environment_name("web.listen-address"), "127.0.0.1:18888")
    address = parse_address(given.split(",")[0].strip())
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where it listens, not we
    return address._replace(host=every.get(address.host, address.host))


def is_well(address: Address) -> bool:
    """Whether it has a fresh sample to serve, or lets nobody see."""
    # It asks itself: there is nobody in between whom a certificate would have to rule out.
    trusting = ssl._create_unverified_context()  # noqa: S323, SLF001
    for connection in (
        http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS),
        http.client.HTTPSConnection(*address, timeout=PATIENCE_SECONDS, context=trusting),
    ):
        greeted = False
        try:
            connection.connect()
            greeted = isinstance(connection, http.client.HTTPSConnection)
            connection.request("GET", "/-/ready")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            if greeted:
                return True  # it has shown its certificate, and hangs up for want of one of ours
        finally:
            connection.close()
    return False


if __name__ == "__main__":
    sys.exit(0 if is_well(own_address(os.environ)) else 1)
