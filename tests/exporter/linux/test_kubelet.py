"""What a kubelet's configuration says, in YAML, in JSON and in rubbish."""

from pathlib import Path

import pytest

from jupyter_kernel_exporter.linux.kubelet import (
    CONFIGS,
    KubeletConfig,
    parse_kubelet_config,
    read_kubelet_config,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("kind: KubeletConfiguration\nsingleProcessOOMKill: true\n", True),
        ('{"kind": "KubeletConfiguration", "singleProcessOOMKill": false}', False),
        ("kind: KubeletConfiguration\n", None),
        ("singleProcessOOMKill: perhaps\n", None),
        ("singleProcessOOMKill:\n", None),
    ],
)
def test_parse(text: str, value: bool | None) -> None:
    """Said or not said."""
    assert parse_kubelet_config(text) is value


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", "\x00", "!!python/object:os.system {}"])
def test_what_is_no_configuration(text: str) -> None:
    """Is an error, and never run."""
    with pytest.raises(ValueError, match="no "):
        parse_kubelet_config(text)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_known_place_is_looked_at(tmp_path: Path, name: str) -> None:
    """Below the host's root."""
    assert read_kubelet_config(str(tmp_path)) is None
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text("singleProcessOOMKill: true")
    assert read_kubelet_config(str(tmp_path)) == KubeletConfig(str(path), True)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    """So that somebody can mend it."""
    path = tmp_path / CONFIGS[0]
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    with pytest.raises(ValueError, match=str(path)):
        read_kubelet_config(str(tmp_path))
