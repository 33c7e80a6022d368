"""argv and environment -> Settings; the sub-commands; exit codes.

0: ended as asked. 1: could not do it. 2: a wrong flag or value, with one clear line on stderr.
"""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from jupyter_kernel_exporter import __version__, log
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


def serve(settings: Settings) -> int:
    """Watch this host's kernels and serve what is seen, until a signal ends it."""
    from jupyter_kernel_exporter import daemon  # noqa: PLC0415  # --help and errors stay quick

    return daemon.serve(settings)


def demo(settings: Settings) -> int:
    """The same, beside a Jupyter server whose kernels behave well and badly."""
    from jupyter_kernel_exporter.demo import (  # noqa: PLC0415  # an optional extra
        DemoError,
        demo_kernels,
    )

    # The kernels must be ended on a signal before the daemon listens for it as well.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with demo_kernels():
            return serve(settings)
    except DemoError as error:
        return _say(str(error))
    except KeyboardInterrupt:
        return 0


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


class Command(NamedTuple):
    """A sub-command."""

    name: str
    run: Callable[[Settings], int]
    help: str


COMMANDS: tuple[Command, ...] = (
    Command("serve", serve, "watch this host's kernels, and serve page, API and metrics (default)"),
    Command("demo", demo, "the same, beside a Jupyter server with kernels to look at"),
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: {message}\n")


def build_parser() -> argparse.ArgumentParser:
    """The command line, made from the tables of commands and settings."""
    parser = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [COMMAND] [FLAG ...]",
        description="Exports what every Jupyter kernel on this host uses, for Prometheus.",
        epilog="commands:\n"
        + "".join(f"  {command.name:<22}{command.help}\n" for command in COMMANDS)
        + "\nEvery flag is also an environment variable"
        f" ({environment_name('sample.interval')} for --sample.interval)\n"
        "and a key of the file given with --config.file.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
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


def read_settings(
    argv: Sequence[str], environ: Mapping[str, str] = os.environ
) -> tuple[Command, Settings]:
    """The command and its settings.

    Raises :exc:`SettingError` for a value that cannot be used, :exc:`SystemExit` for an unknown
    flag, and after ``--help`` and ``--version``.
    """
    parser = build_parser()
    command, argv = COMMANDS[0], list(argv)
    if argv and not argv[0].startswith("-"):
        name = argv.pop(0)
        named = [command for command in COMMANDS if command.name == name]
        if not named:
            known = ", ".join(command.name for command in COMMANDS)
            parser.error(f"unknown command {name!r}: there are {known}")
        (command,) = named
    flags = vars(parser.parse_args(argv))
    return command, resolve(flags, environ, flags.pop("config.file"))


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point; the exit status."""
    try:
        command, settings = read_settings(sys.argv[1:] if argv is None else argv)
    except SettingError as error:
        _say(str(error))
        return 2
    log.set_up(settings["log.level"], settings["log.format"])
    try:
        return command.run(settings)
    except OSError as error:
        return _say(str(error))


def _say(sentence: str) -> int:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)
    return 1
