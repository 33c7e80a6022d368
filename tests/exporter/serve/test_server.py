"""The socket that is listened on."""

import socket

import pytest

from jupyter_kernel_exporter.serve.server import listen
from jupyter_kernel_exporter.settings import Address


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_part_of_an_answer_is_held_back(host: str) -> None:
    """Connections inherit it: a scrape on a kept connection would take 40 ms more."""
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("needs IPv6")
    with listen(Address(host, 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((host, port)), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_address_that_is_taken_is_named() -> None:
    """The error says which."""
    with (
        listen(Address("127.0.0.1", 0)) as listener,
        pytest.raises(OSError, match=rf"127\.0\.0\.1:{listener.getsockname()[1]}"),
    ):
        listen(Address("127.0.0.1", listener.getsockname()[1]))
