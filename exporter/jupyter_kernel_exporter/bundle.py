"""The command ``bundle``: the files of the stack, for those who installed the exporter alone.

Prometheus' and Alertmanager's configuration, rules, runbooks, dashboards, the compose file, the
systemd unit and what Kubernetes takes. They lie in the wheel; in a checkout nothing is copied.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_kernel_exporter.settings import Settings

PARTS = (
    "alerts",
    "dashboards/generated",
    "dashboards/provisioning",
    "deploy",
    "docker-compose.yml",
    ".env.example",
)
"""What is written, by its name in the project; ``pyproject.toml`` puts the same into the wheel."""

_BUILD = re.compile(r"^    build:\n(?: {6}.*\n)+", re.MULTILINE)


def bundle(_: Settings, options: Mapping[str, Any]) -> int:
    """Write the files into a directory. The exit status: 1 if one of them is there and another."""
    target = Path(options["directory"])
    texts = dict(read_parts(shipped()))
    changed = [name for name, text in texts.items() if _is_another(target / name, text)]
    if changed and not options["overwrite"]:
        for name in changed:
            print(f"{target / name} is there and was changed: --overwrite", file=sys.stderr)
        return 1
    for name, text in texts.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"{len(texts)} files in {target}")
    return 0


def shipped() -> Path:
    """Where the files lie: in the package, or around it in a checkout. Raises :exc:`OSError`."""
    package = Path(__file__).resolve().parent
    for place in (package / "bundled", package.parents[1]):
        if all((place / part).exists() for part in PARTS):
            return place
    raise FileNotFoundError("the files of the stack are not part of this installation")


def read_parts(root: Path) -> Iterator[tuple[str, str]]:
    """Names of all files below ``root`` that are written, with their texts."""
    for part in PARTS:
        top = root / part
        paths = [top] if top.is_file() else sorted(path for path in top.rglob("*"))
        for path in paths:
            if path.is_file():
                name = str(path.relative_to(root))
                text = path.read_text(encoding="utf-8")
                yield name, without_build(text) if name == "docker-compose.yml" else text


def without_build(text: str) -> str:
    """The compose file without what only a checkout can do: build the images."""
    return _BUILD.sub("", text)


def _is_another(path: Path, text: str) -> bool:
    # Bytes, for what somebody else has put there may be no UTF-8.
    return os.path.lexists(path) and (not path.is_file() or path.read_bytes() != text.encode())
