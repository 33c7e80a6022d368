"""The command line: flags, commands, exit codes."""

import subprocess
import sys

import pytest

from jupyter_kernel_exporter import __version__
from jupyter_kernel_exporter.cli import main, read_settings
from jupyter_kernel_exporter.settings import SETTINGS, Address


def test_serve_is_what_happens_without_a_command() -> None:
    """The daemon is the main thing."""
    asked = read_settings([], {})
    assert asked.command.name == "serve"


def test_flags_become_settings() -> None:
    """Also those that may be repeated, and those that switch something off."""
    argv = ["serve", "--web.listen-address", "127.0.0.1:1", "--web.listen-address=[::1]:2"]
    asked = read_settings([*argv, "--no-source.io", "--source.pss"], {"JKE_SOURCE_IO": "on"})
    settings = asked.settings
    assert settings["web.listen-address"] == (Address("127.0.0.1", 1), Address("::1", 2))
    assert "io" not in settings.sources
    assert "pss" in settings.sources


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--sample.interval", "x"], "--sample.interval: expected a number of seconds, not 'x'"),
        (["--sample.intervall", "1"], "unrecognized arguments: --sample.intervall 1"),
        (["--sample", "1"], "unrecognized arguments: --sample 1"),
        (["--config.file", "/nowhere"], "--config.file: cannot read /nowhere: "),
        (["serve", "--json"], "unrecognized arguments: --json"),
        (["watch"], "unknown command 'watch': there are serve, demo, kernels, deaths, doctor"),
    ],
)
def test_a_wrong_value_ends_with_one_line_and_status_2(
    argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever reads the journal sees what to mend."""
    try:
        status: object = main(argv)
    except SystemExit as leaving:
        status = leaving.code
    assert status == 2
    error = capsys.readouterr().err
    assert error.startswith(f"jupyter-kernel-exporter: {line}")
    assert error.count("\n") == 1


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """And every command."""
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert all(f"--{setting.name}" in text for setting in SETTINGS)
    assert "demo" in text


def test_version_and_module_run() -> None:
    """``python -m`` is the command as well."""
    argv = [sys.executable, "-m", "jupyter_kernel_exporter", "--version"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.startswith(f"jupyter-kernel-exporter {__version__} (Python ")
