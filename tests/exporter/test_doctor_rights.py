"""What the doctor claims equals what linux permits, whatever capabilities are taken away."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import doctor_and_deeds
from support.processes import needs_root
from support.promql import ROOT

pytestmark = [pytest.mark.real, needs_root]

STRANGER = 54321
"""A user who is neither us nor nobody."""
NOBODY = 65534
SCRIPT = doctor_and_deeds.__file__
AS_NOBODY = f"exec {sys.executable} {SCRIPT} {NOBODY} self /dev/null --state-dir=/tmp/x/none"
CAPABILITIES = (
    "sys_ptrace",
    "perfmon",
    "dac_read_search",
    "dac_override",
    "syslog",
    "sys_admin",
    "net_admin",
    "kill",
)


def of_compose() -> list[str]:
    """The capabilities that the service has, of a user 0 that has no other."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["exporter"]
    assert service["cap_drop"] == ["ALL"]
    return [name.lower() for name in service["cap_add"]]


def of_unit() -> list[str]:
    """The capabilities that systemd gives to an ordinary user."""
    unit = (ROOT / "deploy/systemd/jupyter-kernel-exporter.service").read_text()
    (names,) = re.findall(r"^AmbientCapabilities=(.*)$", unit, re.MULTILINE)
    assert f"\nCapabilityBoundingSet={names}\n" in unit
    return [name.removeprefix("CAP_").lower() for name in names.split()]


def only(names: list[str]) -> str:
    """These and no other, for setpriv."""
    return ",".join(["-all", *(f"+{name}" for name in names)])


def as_root(names: list[str]) -> list[str]:
    """As an engine gives them."""
    return ["--bounding-set", only(names), "--no-new-privs"]


def as_nobody(names: list[str]) -> list[str]:
    """As systemd gives them."""
    return [
        *("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"),
        *("--inh-caps", only(names), "--ambient-caps", only(names)),
        *as_root(names),
    ]


SHIPPED = {"compose": (of_compose(), as_root), "the unit": (of_unit(), as_nobody)}
"""What the shipped files give, and how."""
CASES: dict[str, tuple[list[str], int]] = {
    "all of root's": ([], 0),
    **{f"without {name}": (["--bounding-set", f"-{name}"], 0) for name in CAPABILITIES},
    "to read files, none of them": (["--bounding-set", "-dac_override,-dac_read_search"], 0),
    "to look at processes, none of them": (
        ["--bounding-set", "-sys_ptrace,-perfmon,-sys_admin"],
        0,
    ),
    "none": (["--bounding-set", "-all"], 0),
    **{f"of {shipped}": (give(names), 0) for shipped, (names, give) in SHIPPED.items()},
    **{
        f"of {shipped} without {name}": (give([other for other in names if other != name]), 0)
        for shipped, (names, give) in SHIPPED.items()
        for name in names
    },
    "none, as nobody": ([], NOBODY),
}
"""What setpriv is told, and the user that is become after loading what only root may read."""

WORSE: dict[str, dict[str, str]] = {
    "without sys_ptrace": {
        "io": "partly",
        "runtime_dir": "partly",
        "pidfd": "partly",
        "iopub": "partly",
    },
    "without syslog": {"kmsg": "no"},
    "without sys_admin": {"iopub": "partly"},
    "without net_admin": {},
    "without kill": {},
    "without dac_override": {},
    "without dac_read_search": {},
    "to read files, none of them": {
        "environ": "partly",
        "io": "partly",
        "runtime_dir": "partly",
        "iopub": "partly",
    },
    "to look at processes, none of them": {
        "environ": "partly",
        "io": "partly",
        "pss": "partly",
        "runtime_dir": "partly",
        "pidfd": "partly",
        "iopub": "partly",
    },
    "of compose": {"iopub": "partly"},
    "of the unit": {"iopub": "partly"},
}
"""What gets worse on linux 6.18, for those who want to see it at a glance."""


@dataclass(frozen=True)
class Stranger:
    """Another user's kernel, connection file and zombie."""

    kernel: int
    zombie: int
    file: Path


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    """A stand-in: linux and the doctor see a kernel; it runs no Python."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        closed = folder / "closed"
        closed.mkdir()
        file = closed / "kernel-0d0c70f5-0000-4000-8000-000000000001.json"
        ports = {f"{p}_port": 1 for p in ("shell", "iopub", "stdin", "control", "hb")}
        file.write_text(json.dumps({**ports, "transport": "tcp", "ip": "127.0.0.1", "key": "k"}))
        for path in (closed, file):
            path.chmod(0o600 if path is file else 0o700)
            os.chown(path, STRANGER, STRANGER)
        kernel = start("read _; exit 0", str(file))
        zombie = start("exit 3")
        try:
            os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
            wait_until_old_enough(kernel.pid)
            yield Stranger(kernel.pid, zombie.pid, file)
        finally:
            for process in (kernel, zombie):
                process.communicate()


def start(program: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """A shell that leads its session, as another user."""
    return subprocess.Popen(
        ["/bin/sh", "-c", program, "kernel", "-f", *arguments],
        user=STRANGER,
        group=STRANGER,
        extra_groups=[],
        start_new_session=True,
        stdin=subprocess.PIPE,
        cwd="/",
        env={"JPY_PARENT_PID": str(os.getpid()), "JUPYTERHUB_USER": "ada"},
    )


def wait_until_old_enough(pid: int) -> None:
    """A process that has just started may be a wrapper, and is no kernel yet."""
    deadline = time.monotonic() + 20
    while pid not in result("all of root's").claims["tried_on"]:
        result.cache_clear()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    result.cache_clear()


@dataclass(frozen=True)
class Result:
    """What one process claimed and did."""

    status: int
    claims: dict[str, Any]
    deeds: dict[str, bool]

    @property
    def works(self) -> dict[str, str]:
        """The claim of each source."""
        return {source["name"]: source["works"] for source in self.claims["sources"]}


@cache
def result(case: str, zombie: int | str = "self", file: str = "/dev/null") -> Result:
    """The doctor, run with the rights of a case."""
    rights, uid = CASES[case]
    command = [*("setpriv", "--inh-caps", "-all", *rights, "--"), sys.executable, SCRIPT]
    if "--ambient-caps" in rights:
        command.remove("--inh-caps")
        command.remove("-all")
    ran = subprocess.run(
        [*command, str(uid), str(zombie), file, "--state-dir=/tmp/x/none"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.returncode == 0, ran.stderr
    return Result(**json.loads(ran.stdout))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    """One set of rights."""
    return str(request.param)


def of(case: str, stranger: Stranger) -> Result:
    """The result, with the other user there to be tried."""
    return result(case, stranger.zombie, str(stranger.file))


def test_what_is_claimed_is_what_can_be_done(case: str, stranger: Stranger) -> None:
    """A source that works does all of it; one that works partly is refused some of it."""
    found = of(case, stranger)
    assert stranger.kernel in found.claims["tried_on"]
    claimed = {name: found.works[name] == "yes" for name in found.deeds}
    assert claimed == found.deeds


def test_each_capability_is_for_what_it_is_said_to_be_for(case: str, stranger: Stranger) -> None:
    """Whoever lacks one is told so where that makes a source worse, and only there."""
    full, found = of("all of root's", stranger), of(case, stranger)
    worse = {name: now for name, now in found.works.items() if now != full.works[name]}
    worse.pop("state_dir", None)
    if case in WORSE:
        assert worse == WORSE[case]
    told = {name for names in found.claims["missing_capabilities"].values() for name in names}
    assert told | {"pss"} == worse.keys() | {"pss"}
    assert found.claims["missing_capabilities"].keys().isdisjoint(found.claims["capabilities"])


@pytest.mark.parametrize(
    ("shipped", "name"), [(shipped, name) for shipped in SHIPPED for name in SHIPPED[shipped][0]]
)
def test_each_that_is_shipped_is_needed(shipped: str, name: str, stranger: Stranger) -> None:
    """Less than what the file gives is worse: with the rest of it some source works less well."""
    given, less = (of(c, stranger) for c in (f"of {shipped}", f"of {shipped} without {name}"))
    assert f"CAP_{name.upper()}" in given.claims["capabilities"]
    worse = {name for name, now in less.works.items() if now != given.works[name]}
    assert worse - {"state_dir"}
    assert {name for name, works in given.deeds.items() if works and not less.deeds[name]}


def test_nobody_is_blind_for_want_of_capabilities(case: str, stranger: Stranger) -> None:
    """Linux shows everybody which processes there are."""
    assert of(case, stranger).status == 0
    assert of(case, stranger).claims["blind"] is False


def hidden(command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell command in a mount namespace of its own."""
    return subprocess.run(
        ["unshare", "--mount", *arguments, "sh", "-ec", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_hidden_processes_make_blind() -> None:
    """hidepid=2: only one's own processes are there, and no kernel is among them."""
    ran = hidden(f"mount -t proc -o hidepid=2 proc /proc; {AS_NOBODY}")
    assert ran.returncode == 0, ran.stderr
    found = Result(**json.loads(ran.stdout))
    assert (found.status, found.claims["blind"], found.works["proc"]) == (1, True, "no")
    assert "hidepid" in found.claims["sources"][0]["says"]


def test_files_of_hidden_processes_make_blind() -> None:
    """hidepid=1: they are there, and none of their files may be read."""
    ran = hidden(f"mount -t proc -o hidepid=1 proc /proc; {AS_NOBODY}")
    assert ran.returncode == 0, ran.stderr
    found = Result(**json.loads(ran.stdout))
    assert (found.status, found.works["proc"], found.works["kmsg"]) == (1, "no", "no")
    assert found.works["host"] == "yes"


def test_a_container_of_its_own_makes_blind() -> None:
    """Without the host's pid namespace nothing is seen but itself; the text says what to do."""
    ran = hidden(
        f"exec {sys.executable} -m jupyter_kernel_exporter doctor --state-dir=/tmp/x/none",
        "--pid",
        "--fork",
        "--mount-proc",
    )
    assert ran.returncode == 1, ran.stderr
    assert "BLIND" in ran.stdout
    assert "docker: pid host" in ran.stdout
