"""Names and passwords: who is known, who is not, and who makes others wait."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import bcrypt
import pytest

from jupyter_kernel_exporter.serve import auth
from jupyter_kernel_exporter.serve.auth import Credentials, Crowded, parse_authorization
from support.locks import basic, hashed

USERS: Mapping[str, str] = {
    "bob": hashed("right"),
    "zoë": hashed("schlüssel"),
    "long": hashed("x" * 72),
}


@asynccontextmanager
async def credentials() -> AsyncIterator[Credentials]:
    """Somebody who compares."""
    made = Credentials()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (basic("bob", "right"), ("bob", b"right")),
        (basic("bob", "a:b"), ("bob", b"a:b")),
        (basic("", ""), ("", b"")),
        (basic("zoë", "ü"), ("zoë", "ü".encode())),
        ("basic " + basic("bob", "x").partition(" ")[2], ("bob", b"x")),
        ("", None),
        ("Basic", None),
        ("Basic !!!!", None),
        ("Basic Ym9i", None),  # no colon
        ("Basic Ym9iOnJpZ2h0", ("bob", b"right")),
        ("Basic Ym9iOnJpZ2h0, Basic Ym9iOnJpZ2h0", None),
        ("Bearer Ym9iOnJpZ2h0", None),
        ("Basic Ym9i\u00e9", None),
    ],
)
def test_headers(header: str, found: tuple[str, bytes] | None) -> None:
    """What is no pair of name and password is nothing."""
    assert parse_authorization(header) == found


@pytest.mark.parametrize(
    ("name", "password", "fits"),
    [
        ("bob", "right", True),
        ("zoë", "schlüssel", True),
        ("long", "x" * 72, True),
        ("long", "x" * 73, False),
        ("long", "x" * 100_000, False),
        ("bob", "wrong", False),
        ("bob", "right ", False),
        ("bob", "right\0", False),
        ("bob", "", False),
        ("Bob", "right", False),
        ("nobody", "right", False),
        ("nobody", "fakepassword", False),
        ("", "", False),
    ],
)
def test_who_is_known(name: str, password: str, fits: bool) -> None:
    """Twice the same answer, by comparing and by remembering."""

    async def ask() -> list[bool]:
        async with credentials() as known:
            return [await known.fit(USERS, name, password.encode()) for _ in range(2)]

    assert asyncio.run(ask()) == [fits, fits]


def test_bytes_that_are_no_text() -> None:
    """A name in whatever bytes is a name that nobody has."""
    found = parse_authorization(basic("", b"x").replace("Ong=", "/zp4"))
    assert found is not None

    async def ask() -> bool:
        async with credentials() as known:
            return await known.fit(USERS, *found)

    assert asyncio.run(ask()) is False


def test_a_name_nobody_has_takes_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names cannot be found out by time: a comparison is made for each."""
    compared: list[bytes] = []
    compare = bcrypt.checkpw

    def note(password: bytes, hashed_password: bytes) -> bool:
        compared.append(hashed_password)
        return compare(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", note)

    async def ask() -> None:
        async with credentials() as known:
            for name in ("nobody", "bob", "bob", "nobody"):
                await known.fit(USERS, name, b"wrong")

    asyncio.run(ask())
    assert compared == [auth.NOBODY, USERS["bob"].encode()]


def test_a_changed_password_counts_at_once() -> None:
    """What is remembered is remembered of that hash."""

    async def ask() -> list[bool]:
        async with credentials() as known:
            before = await known.fit({"bob": USERS["bob"]}, "bob", b"right")
            after = await known.fit({"bob": hashed("new")}, "bob", b"right")
            without = await known.fit({}, "bob", b"right")
            return [before, after, without]

    assert asyncio.run(ask()) == [True, False, False]


def test_guesses_keep_nobody_known_waiting() -> None:
    """Among any number of wrong passwords, whoever was verified once is let in at once."""
    # A quarter of a second each.
    slow = {"bob": hashed("right", 4), "eve": hashed("other", 12)}

    async def ask() -> tuple[int, int]:
        async with credentials() as known:
            assert await known.fit(slow, "bob", b"right")
            guesses = [
                asyncio.create_task(known.fit(slow, "eve", b"guess %d" % number))
                for number in range(100)
            ]
            await asyncio.sleep(0)
            assert await asyncio.wait_for(known.fit(slow, "bob", b"right"), 0.1)
            await asyncio.sleep(0)
            refused = sum(task.done() and isinstance(task.exception(), Crowded) for task in guesses)
            for task in guesses:
                task.cancel()
            waiting = len(known._comparing)
            await asyncio.gather(*guesses, return_exceptions=True)
            return refused, waiting

    refused, waiting = asyncio.run(ask())
    assert waiting <= auth.MOST_WAITING
    assert refused == 100 - auth.MOST_WAITING


def test_many_who_ask_the_same_share_one_comparison() -> None:
    """200 scrapers that begin at once are no crowd."""

    async def ask() -> list[bool]:
        async with credentials() as known:
            return await asyncio.gather(*(known.fit(USERS, "bob", b"right") for _ in range(200)))

    assert all(asyncio.run(ask()))


def test_what_is_remembered_is_bounded_and_no_password() -> None:
    """Wrong ones push out wrong ones only, and no password is kept."""

    async def ask() -> Credentials:
        async with credentials() as known:
            await known.fit(USERS, "bob", b"right")
            for number in range(auth.MOST_KNOWN + 10):
                await known.fit(USERS, "bob", b"wrong %d" % number)
            assert not known._comparing
            return known

    known = asyncio.run(ask())
    assert len(known._wrong._keys) == auth.MOST_KNOWN
    assert len(known._right._keys) == 1
    assert {len(key) for key in (*known._wrong._keys, *known._right._keys)} == {32}
