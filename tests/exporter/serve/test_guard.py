"""Who is answered: while the exporter listens on loopback only, loopback names only."""

import httpx
import pytest

from jupyter_kernel_exporter.serve.guard import is_loopback, names_this_machine
from jupyter_kernel_exporter.settings import parse_host
from support.site import Site, site
from support.snapshots import snapshot


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:18888",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:18888",
        "127.255.1.2:80",
        "[::1]",
        "[::1]:18888",
        "localhost:",
        "  localhost ",
    ],
)
def test_loopback_names(host: str) -> None:
    """Every way to write this machine's loopback is taken."""
    assert names_this_machine(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:18888",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example@localhost",
        "localhost@evil.example",
        "localhost:18888@evil.example",
        "127.0.0.1, evil.example",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0.0.0.0:18888",
        "192.168.0.7",
        "[::]",
        "[2001:db8::1]:18888",
        "::1",
        "[::1",
        "[::1]]",
        "localhost:port",
        "local\nhost",
        "lokalhost",
        "127.0.0.1%00.evil.example",
        "\u2460\u2461\u2466.0.0.1",
    ],
)
def test_other_names(host: str) -> None:
    """Anything that a foreign website could make point to this machine is refused."""
    assert not names_this_machine(host)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("hub", False)],
)
def test_is_loopback(host: str, expected: bool) -> None:
    """A listen address that is not surely loopback is not."""
    assert is_loopback(host) is expected


def ask(made: Site, host: str) -> httpx.Response:
    return made.client.get("/api/v1/kernels", headers={"host": host})


@pytest.mark.parametrize("addresses", [["127.0.0.1:1"], ["127.0.0.1:1", "[::1]:1"]])
def test_a_foreign_name_is_refused_on_loopback(addresses: list[str]) -> None:
    """DNS rebinding gets a 421 with a detail, and not one notebook."""
    with site(snapshot(), flags={"web.listen-address": addresses}) as made:
        refused = ask(made, "evil.example:18888")
        assert refused.status_code == 421
        assert set(refused.json()) == {"detail"}
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert ask(made, "localhost").status_code == 200


@pytest.mark.parametrize("addresses", [["0.0.0.0:1"], ["127.0.0.1:1", "10.0.0.5:1"], ["node:1"]])
def test_any_name_is_answered_on_a_network(addresses: list[str]) -> None:
    """Whoever opens the exporter to a network knows the names that lead to it."""
    with site(snapshot(), flags={"web.listen-address": addresses}) as made:
        assert ask(made, "node-7.hub.example:18888").status_code == 200


@pytest.mark.parametrize("addresses", [["127.0.0.1:1"], ["0.0.0.0:1"]])
def test_a_name_that_is_allowed(addresses: list[str]) -> None:
    """Behind a proxy: the name that people use, loopback names, and no other on any address."""
    flags = {"web.listen-address": addresses, "web.allowed-host": ["Hub.Example", "10.0.0.5"]}
    with site(snapshot(), flags=flags) as made:
        for host, status in (
            ("hub.example", 200),
            ("HUB.example.:443", 200),
            ("10.0.0.5:18888", 200),
            ("localhost:18888", 200),
            ("evil.example", 421),
            ("hub.example.evil.example", 421),
            ("hub.example@evil.example", 421),
            ("", 421),
        ):
            assert ask(made, host).status_code == status, host


@pytest.mark.parametrize("name", ["", "a:80", "http://a", "a b", "[::1]", "a,b"])
def test_no_host_names(name: str) -> None:
    """A name is given without its port, and without a scheme."""
    with pytest.raises(ValueError, match="host name"):
        parse_host(name)
