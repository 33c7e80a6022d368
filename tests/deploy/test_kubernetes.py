"""What is given to Kubernetes: rendered by kubectl, and checked against its schemas."""

import copy
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import kubernetes_validate
import pytest
import yaml

from jupyter_kernel_exporter import __version__
from jupyter_kernel_exporter.settings import SETTINGS, environment_name
from support.promql import ROOT, rules

KUSTOMIZATIONS = ("base", *(f"overlays/{n}" for n in ("example", "host-network", "unprivileged")))
OPERATORS = {"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"}
"""Kinds of prometheus-operator, which Kubernetes has no schema of; and the files with theirs."""
VERSION = "1.37"

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")


@cache
def rendered(name: str) -> list[dict[str, Any]]:
    """All resources of a kustomization."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "deploy/kubernetes" / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(name: str, kind: str) -> dict[str, Any]:
    """The one resource of a kind."""
    (found,) = [resource for resource in rendered(name) if resource["kind"] == kind]
    return found


def test_made_files_are_fresh() -> None:
    """The rules and dashboards are those of the stack."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools/kubernetes.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_resources_fit_the_schemas(name: str) -> None:
    """With no field that is not known there."""
    for resource in rendered(name):
        if resource["kind"] not in {*OPERATORS, "ConfigMap"}:
            kubernetes_validate.validate(resource, VERSION, strict=True)


def closed(schema: Any) -> Any:
    """The same, without fields that it does not name: Kubernetes drops them, or complains."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: closed(part) for name, part in schema.items()}
    if "properties" in parts:
        parts.setdefault("additionalProperties", False)
    return parts


@cache
def operators_schema(kind: str) -> jsonschema.Draft202012Validator:
    """What prometheus-operator takes of a kind."""
    path = ROOT / f"tests/fixtures/crds/{OPERATORS[kind]}.json"
    return jsonschema.Draft202012Validator(closed(json.loads(path.read_text())))


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
@pytest.mark.parametrize("kind", OPERATORS)
def test_prometheus_operator_takes_its_own(name: str, kind: str) -> None:
    """By the schemas that it installs, with no field that is not known there."""
    found = of_kind(name, kind)
    assert found["apiVersion"] == "monitoring.coreos.com/v1"
    assert [error.message for error in operators_schema(kind).iter_errors(found)] == []


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param("PodMonitor", {"interval": "5 seconds"}, id="a wrong duration"),
        pytest.param("PodMonitor", {"honourLabels": True}, id="an unknown field"),
        pytest.param("PodMonitor", {"relabelings": {}}, id="no list"),
        pytest.param("PrometheusRule", {"rules": [{"alert": "A"}]}, id="no expression"),
        pytest.param("PrometheusRule", {"interval": "soon"}, id="no duration"),
    ],
)
def test_prometheus_operator_refuses_what_is_wrong(kind: str, change: dict[str, Any]) -> None:
    """So that its schemas prove something."""
    found = copy.deepcopy(of_kind("base", kind))
    part = "groups" if kind == "PrometheusRule" else "podMetricsEndpoints"
    found["spec"][part][0] |= change
    assert not operators_schema(kind).is_valid(found)


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_the_cluster_is_never_asked(name: str) -> None:
    """No role, no token, nothing of the node but for reading, and every setting is one of ours."""
    kinds = {resource["kind"] for resource in rendered(name)}
    assert not kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "Secret"}
    pod = of_kind(name, "DaemonSet")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["hostPID"] is True
    (container,) = pod["containers"]
    assert container["image"].endswith(f"jupyter-kernel-exporter:{__version__}")
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    known = {environment_name(setting.name) for setting in SETTINGS}
    assert {variable["name"] for variable in container["env"]} <= known
    writable = [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]
    assert writable == ["/var/lib/jupyter-kernel-exporter"]
    assert "memory" in container["resources"]["limits"]


def test_fewer_rights_where_they_are_wanted() -> None:
    """Unprivileged is unprivileged: two capabilities, and what cannot work is switched off."""
    (container,) = of_kind("overlays/unprivileged", "DaemonSet")["spec"]["template"]["spec"][
        "containers"
    ]
    context = container["securityContext"]
    assert "privileged" not in context
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_READ_SEARCH"]}
    off = {v["name"] for v in container["env"] if v["value"] == "false"}
    assert off == {f"JKE_SOURCE_{n}" for n in ("PROCESS_EVENTS", "KMSG", "IOPUB", "CGROUP")}


def test_rules_are_the_same(tmp_path: Path) -> None:
    """The resource holds every rule of the stack, and Prometheus loads them from there."""
    spec = of_kind("base", "PrometheusRule")["spec"]
    assert [rule for group in spec["groups"] for rule in group["rules"]] == list(rules())
    if shutil.which("promtool"):
        (tmp_path / "rules.yml").write_text(yaml.safe_dump(spec))
        command = ["promtool", "check", "rules", str(tmp_path / "rules.yml")]
        subprocess.run(command, check=True, capture_output=True)


def test_the_job_is_the_one_that_rules_ask_for() -> None:
    """It comes from a label of the pod, and the name of the node is its instance."""
    monitor = of_kind("base", "PodMonitor")["spec"]
    labels = of_kind("base", "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert labels[monitor["jobLabel"]] == "jupyter-kernel-exporter"
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["relabelings"][0]["targetLabel"] == "instance"


def test_kube_prometheus_stack_takes_up_what_is_its_operators() -> None:
    """By default it selects by the label ``release``; the example shows where that is written."""
    releases = {
        resource["kind"]: resource["metadata"]["labels"].get("release")
        for resource in rendered("overlays/example")
    }
    labelled = {kind for kind, release in releases.items() if release}
    assert labelled == set(OPERATORS)
    assert {releases[kind] for kind in labelled} == {"kube-prometheus-stack"}


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_critical_pods_are_admitted(name: str) -> None:
    """Where a quota has to name their priority: it is there before the pods, and refuses none."""
    pod = of_kind(name, "DaemonSet")["spec"]["template"]["spec"]
    quota = of_kind(name, "ResourceQuota")["spec"]
    (scope,) = quota["scopeSelector"]["matchExpressions"]
    assert (scope["scopeName"], scope["operator"]) == ("PriorityClass", "In")
    assert scope["values"] == [pod["priorityClassName"]]
    assert quota["hard"] == {"pods": "1G"}
    kinds = [resource["kind"] for resource in rendered(name)]
    assert kinds.index("Namespace") < kinds.index("ResourceQuota") < kinds.index("DaemonSet")


def test_dashboards_are_found() -> None:
    """By the label that Grafana's sidecar looks for, each small enough for a ConfigMap."""
    maps = [resource for resource in rendered("base") if resource["kind"] == "ConfigMap"]
    boards = [json.loads(text) for one in maps for text in one["data"].values()]
    made = sorted(ROOT.glob("dashboards/generated/*.json"))
    assert {b["uid"] for b in boards} == {json.loads(path.read_text())["uid"] for path in made}
    for one in maps:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert len(json.dumps(one)) < 1_000_000
