"""Every setting once: its name, what it takes, its default, its help.

The command line, the environment (``JKE_`` and the name in capitals), the configuration file and
``docs/settings.md`` are all made from :data:`SETTINGS`. A flag wins over the environment, the
environment over the file, the file over the default.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

ENVIRONMENT_PREFIX = "JKE_"


class SettingError(ValueError):
    """A value that cannot be used; the text is one clear line for the person who set it."""


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """``HOST:PORT``, ``[IPv6]:PORT`` or ``:PORT`` (every interface, as exporters have it)."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError("expected HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address needs brackets: [::1]:18888")
    return Address(host or "0.0.0.0", int(port))  # noqa: S104  # asked for by the empty host


def parse_path(text: str) -> str:
    """An absolute path."""
    if not text.startswith("/") or "\0" in text:
        raise ValueError("expected an absolute path")
    return text.rstrip("/") or "/"


def parse_host(text: str) -> str:
    """A host name or address, without a port."""
    name = text.lower().removesuffix(".")
    if not name or any(c in name for c in " /@,[]") or name.count(":") == 1:
        raise ValueError("expected a host name without a port")
    return name


def parse_url_path(text: str) -> str:
    """The path part of a URL."""
    if not text.startswith("/") or text == "/" or any(c in text for c in " ?#{}"):
        raise ValueError("expected a path such as /metrics")
    return text


def parse_seconds(text: str) -> float:
    """Seconds, from a twentieth of one to an hour."""
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError("expected a number of seconds") from None
    if not 0.05 <= seconds <= 3600:
        raise ValueError("expected 0.05 to 3600 seconds")
    return seconds


def parse_flag(text: str) -> bool:
    """A truth value, as YAML and the environment write it."""
    value = {"true": True, "1": True, "yes": True, "on": True}.get(text.lower())
    if value is None and text.lower() not in {"false", "0", "no", "off"}:
        raise ValueError("expected true or false")
    return bool(value)


def one_of(*choices: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return parse


class Setting(NamedTuple):
    """One setting: ``name`` as on the command line, without the dashes before it."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    metavar: str = ""
    repeatable: bool = False


class SourceSetting(NamedTuple):
    """A source that can be switched on and off."""

    name: str
    default: bool
    help: str


ALWAYS_ON = "proc"
"""The source without which there is nothing to see."""

SOURCES: tuple[SourceSetting, ...] = (
    SourceSetting(
        "runtime_dir", True, "connection files: kernelspec, notebook, and which ports are whose"
    ),
    SourceSetting(
        "environ", True, "a few variables of a kernel's environment: hub user, server, notebook"
    ),
    SourceSetting("io", True, "bytes read and written, from /proc/PID/io"),
    SourceSetting("delayacct", True, "time blocked on block I/O, where linux accounts for delays"),
    SourceSetting("cgroup", True, "memory limits of containers, pods, units and slices"),
    SourceSetting("host", True, "memory that the machine has left, from /proc/meminfo"),
    SourceSetting(
        "pss",
        False,
        "proportional share of memory, from smaps_rollup; once a minute, for it is slow",
    ),
    SourceSetting("nvml", True, "memory on NVIDIA GPUs; needs the extra [gpu] and a driver"),
    SourceSetting("kmsg", True, "linux' log: who was killed for memory, and by whose limit"),
    SourceSetting(
        "process_events", True, "starts and ends of processes from linux' proc connector, at once"
    ),
    SourceSetting("pidfd", True, "ends of processes at once, and how they ended (linux 6.15)"),
    SourceSetting(
        "iopub",
        True,
        "what kernels say of themselves, heard passively: busy, errors, requests to end",
    ),
)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "web.listen-address",
        parse_address,
        (Address("127.0.0.1", 18888),),
        "address to serve the page, the API and the metrics on; may be given several times",
        "HOST:PORT",
        True,
    ),
    Setting(
        "web.config.file",
        parse_path,
        "",
        "file with TLS, users and headers in the format of all Prometheus exporters; it is read "
        "again when it changes",
        "FILE",
    ),
    Setting(
        "web.allowed-host",
        parse_host,
        (),
        "a host name to answer to besides those of loopback, as behind a proxy; may be given "
        "several times",
        "NAME",
        True,
    ),
    Setting(
        "web.jupyterhub",
        parse_flag,
        False,
        "be a service of the JupyterHub that the environment names: people log in there and see "
        "their own kernels, admins everybody's; needs the extra [hub]",
    ),
    Setting("web.telemetry-path", parse_url_path, "/metrics", "path of the metrics", "PATH"),
    Setting(
        "runtime-dir",
        str,
        (),
        "a further Jupyter runtime directory, may hold wildcards; may be given several times",
        "GLOB",
        True,
    ),
    Setting(
        "sample.interval",
        parse_seconds,
        1.0,
        "seconds between two looks at every kernel",
        "SECONDS",
    ),
    Setting(
        "state-dir",
        parse_path,
        "",
        "where deaths and counters last; empty: /var/lib/jupyter-kernel-exporter as root, else "
        "jupyter-kernel-exporter in the XDG state home",
        "DIR",
    ),
    Setting("path.procfs", parse_path, "/proc", "where the host's /proc is mounted", "DIR"),
    Setting("path.rootfs", parse_path, "/", "where the host's root directory is mounted", "DIR"),
    Setting(
        "path.cgroupfs",
        parse_path,
        "/sys/fs/cgroup",
        "where the host's cgroup tree is mounted",
        "DIR",
    ),
    Setting(
        "privacy.username",
        one_of("raw", "hashed", "none"),
        "raw",
        "how people are named: raw, hashed (the same name for the same person, with a key of this "
        "host's own) or none",
        "MODE",
    ),
    Setting(
        "privacy.notebook",
        one_of("path", "basename", "none"),
        "basename",
        "how much of a notebook's path may be seen: path (with raw usernames only), basename or "
        "none",
        "MODE",
    ),
    Setting(
        "log.level",
        one_of("debug", "info", "warning", "error"),
        "info",
        "least severe messages to log: debug, info, warning or error",
        "LEVEL",
    ),
    Setting(
        "log.format",
        one_of("logfmt", "json"),
        "logfmt",
        "form of the log lines: logfmt or json",
        "FORMAT",
    ),
    *(Setting(f"source.{s.name}", parse_flag, s.default, s.help) for s in SOURCES),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, with their values. ``settings["sample.interval"]`` by the name of the table."""

    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources that are switched on."""
        return (ALWAYS_ON, *(s.name for s in SOURCES if self.values[f"source.{s.name}"]))


def state_directory(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """Where deaths and counters last; by the XDG base directory specification if not root.

    What was written down under other names is not shown: each way to name people has its own place.
    Of notebooks it is shown, reduced as it is read.
    """
    mode = settings["privacy.username"]
    return _state_home(settings["state-dir"], environ) + ("" if mode == "raw" else f"/{mode}")


def _state_home(given: str, environ: Mapping[str, str]) -> str:
    if given:
        return given
    if os.geteuid() == 0:
        return "/var/lib/jupyter-kernel-exporter"
    home = environ.get("HOME", "")
    base = environ.get("XDG_STATE_HOME") or f"{home}/.local/state"
    return f"{base}/jupyter-kernel-exporter"


def environment_name(name: str) -> str:
    """``web.listen-address`` is ``JKE_WEB_LISTEN_ADDRESS`` in the environment."""
    return ENVIRONMENT_PREFIX + name.translate(str.maketrans(".-", "__")).upper()


def resolve(
    flags: Mapping[str, str | bool | list[str]],
    environ: Mapping[str, str] = os.environ,
    config_file: str | None = None,
) -> Settings:
    """Join flags, environment, file and defaults into one record.

    Raises :exc:`SettingError`, one clear line, for a value that cannot be used or a name that is
    not known.
    """
    path = config_file or environ.get(environment_name("config.file"))
    from_file = read_config_file(path) if path else {}
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        variable = environment_name(setting.name)
        if setting.name in flags:
            values[setting.name] = _parse(setting, flags[setting.name], f"--{setting.name}")
        elif variable in environ:
            text = environ[variable]
            several = text.split(",") if setting.repeatable else text
            values[setting.name] = _parse(setting, several, variable)
        elif setting.name in from_file:
            where = f"{path}: {setting.name}"
            values[setting.name] = _parse(setting, from_file[setting.name], where)
        else:
            values[setting.name] = setting.default
    return Settings(MappingProxyType(values))


def read_config_file(path: str) -> dict[str, Any]:
    """Read the YAML configuration file into names of the table; keys may be nested or dotted."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"--config.file: cannot read {path}: {error}") from None
    return parse_config(text, path)


def parse_config(text: str, path: str) -> dict[str, Any]:
    """Parse the YAML text of the configuration file."""
    try:
        document = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise SettingError(f"{path}: no valid YAML{where}") from None
    if not isinstance(document, dict):
        raise SettingError(f"{path}: expected a mapping of settings")
    flat = dict(_flatten(document, ""))
    known = {setting.name for setting in SETTINGS}
    for name in flat:
        if name not in known:
            raise SettingError(f"{path}: unknown setting {name!r}")
    return flat


def _flatten(node: Mapping[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        rows += _flatten(value, name + ".") if isinstance(value, dict) else [(name, value)]
    return rows


def _parse(setting: Setting, value: Any, where: str) -> Any:
    """Turn what a person wrote into the setting's value."""
    given = value if isinstance(value, list) else [value]
    if not setting.repeatable and len(given) != 1:
        raise SettingError(f"{where}: expected one value")
    parsed = []
    for item in given:
        if item is None or isinstance(item, dict):
            raise SettingError(f"{where}: expected a value")
        try:
            parsed.append(setting.parse(str(item).strip()))
        except ValueError as error:
            raise SettingError(f"{where}: {error}, not {str(item)!r}") from None
    return tuple(parsed) if setting.repeatable else parsed[0]
