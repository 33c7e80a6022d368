"""Whether Kubernetes' node agent lets linux kill a container as a whole.

``singleProcessOOMKill`` of the KubeletConfiguration (kubernetes 1.32,
https://github.com/kubernetes/kubernetes/pull/126096): with ``true`` one process dies at a time.
Without it, on version 2 cgroups since kubernetes 1.28, all processes of a container die together
(https://github.com/kubernetes/kubernetes/pull/117793).

    kind: KubeletConfiguration
    singleProcessOOMKill: true
"""

from typing import NamedTuple

import yaml

CONFIGS = (
    "var/lib/kubelet/config.yaml",
    "etc/kubernetes/kubelet/config.json",
    "etc/kubernetes/kubelet/kubelet-config.json",
    "home/kubernetes/kubelet-config.yaml",
)
"""Of kubeadm and most others; of EKS, on two generations of its image; of GKE."""


class KubeletConfig(NamedTuple):
    """What the file says."""

    path: str
    single_process: bool | None
    """``None``: it says nothing, and what holds is the version's default."""


def parse_kubelet_config(text: str) -> bool | None:
    """Parse ``singleProcessOOMKill`` of a configuration, YAML or JSON.

    Raises :exc:`ValueError` for a text that is none.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError("no valid YAML") from None
    if not isinstance(document, dict):
        raise ValueError("no mapping")  # noqa: TRY004  # what the text is, not a type
    value = document.get("singleProcessOOMKill")
    return value if isinstance(value, bool) else None


def read_kubelet_config(rootfs: str) -> KubeletConfig | None:
    """The configuration of the node whose root is ``rootfs``; ``None`` if no file is found."""
    for name in CONFIGS:
        path = f"{rootfs}/{name}"
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            return KubeletConfig(path, parse_kubelet_config(text))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return None
