"""User ids, names and homes."""

import os
import pwd
from pathlib import Path

from jupyter_kernel_exporter.discover.users import User, Users, parse_passwd

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
alice:x:1000:1000:,,,:/home/alice:/bin/sh
again:x:1000:1000::/home/again:/bin/sh
broken line
+::::::
bob:x:-5:1::/home/bob:/bin/sh
"""


def test_passwd_is_parsed() -> None:
    """The first line of a uid counts, broken ones do not."""
    assert parse_passwd(PASSWD) == {0: User("root", "/root"), 1000: User("alice", "/home/alice")}


def test_the_systems_users() -> None:
    """By the system's own means, which may be LDAP."""
    mine = pwd.getpwuid(os.getuid())
    assert Users().get(os.getuid()) == User(mine.pw_name, mine.pw_dir)


def test_the_hosts_users_seen_from_a_container(tmp_path: Path) -> None:
    """Where the host's root is mounted, its users are the ones to name."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    assert Users(str(tmp_path)).get(1000) == User("alice", "/home/alice")


def test_unknown_users_are_numbers_and_asked_for_again_later(tmp_path: Path) -> None:
    """A new account gets its name within a minute; nobody is asked twice within one."""
    now = 0.0
    (tmp_path / "etc").mkdir()
    users = Users(str(tmp_path), lambda: now)
    assert users.get(1000) == User("1000", "")
    (tmp_path / "etc/passwd").write_text(PASSWD)
    now = 59.0
    assert users.get(1000) == User("1000", "")
    now = 61.0
    assert users.get(1000) == User("alice", "/home/alice")
    (tmp_path / "etc/passwd").unlink()
    assert users.get(1000) == User("alice", "/home/alice")
