"""argv and environment -> Settings; the sub-commands; exit codes.

0: ended as asked. 1: could not do it. 2: a wrong flag or value, with one clear line on stderr.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from jupyter_kernel_exporter import __version__, log
from jupyter_kernel_exporter.privacy import conceal_paths
from jupyter_kernel_exporter.settings import (
    SETTINGS,
    Setting,
    SettingError,
    Settings,
    environment_name,
    parse_flag,
    resolve,
)

PROGRAM = "jupyter-kernel-exporter"


Options = Mapping[str, Any]
"""The values of a command's own flags."""


def serve(settings: Settings, _: Options) -> int:
    """Watch this host's kernels and serve what is seen, until a signal ends it."""
    from jupyter_kernel_exporter import service  # noqa: PLC0415  # --help and errors stay quick
    from jupyter_kernel_exporter.publish.history import AlreadyRunning  # noqa: PLC0415
    from jupyter_kernel_exporter.serve.hub import HubError  # noqa: PLC0415
    from jupyter_kernel_exporter.serve.lock_config import LockError  # noqa: PLC0415

    try:
        return service.serve(settings)
    except LockError as error:
        _say(f"--web.config.file: {error}")
        return 2
    except HubError as error:
        _say(f"--web.jupyterhub: {error}")
        return 2
    except AlreadyRunning as error:
        return _say(str(error))


def demo(settings: Settings, options: Options) -> int:
    """The same, beside a JupyterLab whose kernels behave well and badly."""
    from jupyter_kernel_exporter.demo import (  # noqa: PLC0415  # an optional extra
        DemoError,
        demo_kernels,
    )

    # The kernels must be ended on a signal before the daemon listens for it as well.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with demo_kernels(), tempfile.TemporaryDirectory(prefix=PROGRAM) as folder:
            # Made-up deaths do not belong among those of a daemon that may run beside it.
            history = {"state-dir": settings["state-dir"] or folder}
            return serve(Settings({**settings.values, **history}), options)
    except DemoError as error:
        return _say(str(error))
    except KeyboardInterrupt:
        return 0


def doctor(settings: Settings, options: Options) -> int:
    """Say what works here, and what is lost without what does not."""
    from jupyter_kernel_exporter.doctor import doctor  # noqa: PLC0415  # as above

    return doctor(settings, options)


def kernels(settings: Settings, options: Options) -> int:
    """Print the kernels that are alive now."""
    from jupyter_kernel_exporter.terminal.kernels import kernels  # noqa: PLC0415  # as above

    return kernels(settings, options)


def deaths(settings: Settings, options: Options) -> int:
    """Print the last deaths with their reasons."""
    from jupyter_kernel_exporter.terminal.deaths import deaths  # noqa: PLC0415  # as above

    return deaths(settings, options)


def bundle(settings: Settings, options: Options) -> int:
    """Write the files of the stack into a directory."""
    from jupyter_kernel_exporter.bundle import bundle  # noqa: PLC0415  # as above

    return bundle(settings, options)


def add_bundle_flags(parser: argparse.ArgumentParser) -> None:
    """For the command ``bundle``."""
    parser.add_argument("directory", metavar="DIR", help="where to write them")
    parser.add_argument(
        "--overwrite", action="store_true", help="also over files that were changed"
    )


def add_watch_flags(parser: argparse.ArgumentParser) -> None:
    """For the command ``kernels``."""
    add_json_flag(parser)
    parser.add_argument("--watch", action="store_true", help="print them again and again")


def add_deaths_flags(parser: argparse.ArgumentParser) -> None:
    """For the command ``deaths``."""
    add_json_flag(parser)
    parser.add_argument(
        "--limit", type=_count, default=20, metavar="N", help="print the last N (default: 20)"
    )


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise ValueError("expected 1 to 10000")
    return number


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    """For commands that print something."""
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def no_flags(_: argparse.ArgumentParser) -> None:
    """For commands that have none of their own."""


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


class Command(NamedTuple):
    """A sub-command."""

    name: str
    run: Callable[[Settings, Options], int]
    help: str
    add_flags: Callable[[argparse.ArgumentParser], None] = no_flags
    """Adds flags of its own, with names that no setting has."""


class Asked(NamedTuple):
    """What the command line asks for."""

    command: Command
    settings: Settings
    options: Options


COMMANDS: tuple[Command, ...] = (
    Command("serve", serve, "watch this host's kernels, and serve page, API and metrics (default)"),
    Command("demo", demo, "the same, beside a JupyterLab with kernels to look at"),
    Command("kernels", kernels, "print the kernels that are alive now", add_watch_flags),
    Command("deaths", deaths, "print the last deaths with their reasons", add_deaths_flags),
    Command("doctor", doctor, "say which sources work here, and what it takes", add_json_flag),
    Command(
        "bundle", bundle, "write dashboards, rules and configurations to DIR", add_bundle_flags
    ),
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: {message}\n")


def build_parser(command: Command | None = None) -> argparse.ArgumentParser:
    """The command line, made from the tables of commands and settings."""
    parser = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} {command.name if command else '[COMMAND]'} [FLAG ...]",
        description="Exports what every Jupyter kernel on this host uses, for Prometheus.",
        epilog="commands:\n"
        + "".join(f"  {command.name:<22}{command.help}\n" for command in COMMANDS)
        + "\nEvery flag is also an environment variable"
        f" ({environment_name('sample.interval')} for --sample.interval)\n"
        "and a key of the file given with --config.file.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if command is not None:
        command.add_flags(parser)
    version = f"{PROGRAM} {__version__} (Python {platform.python_version()})"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument("--config.file", metavar="FILE", help="YAML file with settings")
    for setting in SETTINGS:
        _add_flag(parser, setting)
    return parser


def _add_flag(parser: argparse.ArgumentParser, setting: Setting) -> None:
    kind: dict[str, Any]
    if setting.parse is parse_flag:
        kind = {"action": argparse.BooleanOptionalAction}
    else:
        kind = {"action": "append" if setting.repeatable else "store", "metavar": setting.metavar}
    parser.add_argument(
        f"--{setting.name}",
        dest=setting.name,
        default=argparse.SUPPRESS,
        help=f"{setting.help} (default: {describe_default(setting)})".replace("%", "%%"),
        **kind,
    )


def describe_default(setting: Setting) -> str:
    """A default as a person would write it."""
    if setting.repeatable:
        return ", ".join(str(value) for value in setting.default) or "none"
    if isinstance(setting.default, bool):
        return "on" if setting.default else "off"
    return f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)


def read_settings(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Asked:
    """The command, the settings, and the command's own options.

    Raises :exc:`SettingError` for a value that cannot be used, :exc:`SystemExit` for an unknown
    flag, and after ``--help`` and ``--version``.
    """
    command, argv = COMMANDS[0], list(argv)
    named = bool(argv) and not argv[0].startswith("-")
    if named:
        name = argv.pop(0)
        found = [command for command in COMMANDS if command.name == name]
        if not found:
            known = ", ".join(command.name for command in COMMANDS)
            build_parser().error(f"unknown command {name!r}: there are {known}")
        (command,) = found
    flags = vars(build_parser(command if named else None).parse_args(argv))
    config_file = flags.pop("config.file")
    names = {setting.name for setting in SETTINGS}
    options = {name: flags.pop(name) for name in flags.keys() - names}
    return Asked(command, resolve(flags, environ, config_file), options)


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point; the exit status."""
    try:
        asked = read_settings(sys.argv[1:] if argv is None else argv)
    except SettingError as error:
        _say(str(error))
        return 2
    reduce = str if asked.settings["privacy.username"] == "raw" else conceal_paths
    log.set_up(asked.settings["log.level"], asked.settings["log.format"], reduce)
    try:
        return asked.command.run(asked.settings, asked.options)
    except OSError as error:
        return _say(str(error))


def _say(sentence: str) -> int:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)
    return 1
