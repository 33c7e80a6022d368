"""Flags, environment, file and defaults, joined into one record."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.settings import (
    SETTINGS,
    Address,
    SettingError,
    environment_name,
    parse_address,
    parse_config,
    resolve,
)


def test_defaults_stand_where_nobody_says_anything() -> None:
    """Loopback, once a second."""
    settings = resolve({}, {})
    assert settings["web.listen-address"] == (Address("127.0.0.1", 18888),)
    assert settings["sample.interval"] == 1.0
    assert settings["privacy.notebook"] == "basename"
    assert "proc" in settings.sources
    assert "pss" not in settings.sources


def test_flag_wins_over_environment_over_file(tmp_path: Path) -> None:
    """The nearer to the person who types, the stronger."""
    file = tmp_path / "jke.yml"
    file.write_text("sample.interval: 2\nlog: {level: error}\nweb.telemetry-path: /file\n")
    environ = {"JKE_SAMPLE_INTERVAL": "3", "JKE_LOG_LEVEL": "warning"}
    settings = resolve({"sample.interval": "4"}, environ, str(file))
    assert settings["sample.interval"] == 4.0
    assert settings["log.level"] == "warning"
    assert settings["web.telemetry-path"] == "/file"


def test_the_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    """As compose and unit files do."""
    file = tmp_path / "jke.yml"
    file.write_text("source:\n  pss: true\nruntime-dir: [/a/*, /b]\n")
    settings = resolve({}, {"JKE_CONFIG_FILE": str(file)})
    assert "pss" in settings.sources
    assert settings["runtime-dir"] == ("/a/*", "/b")


def test_several_values_in_one_variable() -> None:
    """Repeatable flags are separated by commas in the environment."""
    settings = resolve({}, {"JKE_WEB_LISTEN_ADDRESS": "127.0.0.1:1, [::1]:2"})
    assert settings["web.listen-address"] == (Address("127.0.0.1", 1), Address("::1", 2))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:18888", Address("127.0.0.1", 18888)),
        ("localhost:0", Address("localhost", 0)),
        (":9100", Address("0.0.0.0", 9100)),
        ("[::1]:18888", Address("::1", 18888)),
        ("[::]:18888", Address("::", 18888)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    """The forms that other exporters take."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            {"sample.interval": "soon"},
            "--sample.interval: expected a number of seconds, not 'soon'",
        ),
        ({"sample.interval": "0"}, "--sample.interval: expected 0.05 to 3600 seconds, not '0'"),
        ({"sample.interval": "nan"}, "--sample.interval: expected 0.05 to 3600 seconds, not 'nan'"),
        (
            {"web.listen-address": ["::1:80"]},
            "--web.listen-address: an IPv6 address needs brackets",
        ),
        ({"web.listen-address": ["host"]}, "--web.listen-address: expected HOST:PORT, not 'host'"),
        ({"web.listen-address": ["h:70000"]}, "--web.listen-address: expected HOST:PORT"),
        ({"web.telemetry-path": "/"}, "--web.telemetry-path: expected a path such as /metrics"),
        ({"path.procfs": "proc"}, "--path.procfs: expected an absolute path, not 'proc'"),
        ({"privacy.notebook": "all"}, "--privacy.notebook: expected one of path, basename, none"),
    ],
)
def test_a_wrong_value_is_one_clear_line(
    flags: dict[str, str | bool | list[str]], line: str
) -> None:
    """It names where it was set, what is expected, and what was there."""
    with pytest.raises(SettingError) as caught:
        resolve(flags, {})
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sample.interval: [1, 2]", "f.yml: sample.interval: expected one value"),
        ("sample: {intervall: 1}", "f.yml: unknown setting 'sample.intervall'"),
        ("- a list", "f.yml: expected a mapping of settings"),
        ("a: b: c", "f.yml: no valid YAML at line 1"),
        ("sample.interval:", "f.yml: sample.interval: expected a value"),
        ("source.pss: maybe", "f.yml: source.pss: expected true or false, not 'maybe'"),
    ],
)
def test_a_wrong_file_is_one_clear_line(text: str, line: str, tmp_path: Path) -> None:
    """The file's path stands in the line."""
    file = tmp_path / "f.yml"
    file.write_text(text)
    with pytest.raises(SettingError) as caught:
        resolve({}, {}, str(file))
    assert str(caught.value).removeprefix(f"{tmp_path}/") == line


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    """A typo in the path is no traceback."""
    with pytest.raises(SettingError, match=r"cannot read .*nowhere"):
        resolve({}, {}, str(tmp_path / "nowhere.yml"))


def test_an_empty_file_sets_nothing() -> None:
    """A file of comments only is fine."""
    assert parse_config("# later\n", "f.yml") == {}


def test_every_setting_has_a_name_of_its_own_in_the_environment() -> None:
    """Two settings must not answer to one variable."""
    names = [environment_name(setting.name) for setting in SETTINGS]
    assert len(set(names)) == len(names)
    assert environment_name("web.listen-address") == "JKE_WEB_LISTEN_ADDRESS"
