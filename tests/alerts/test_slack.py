"""What arrives at Slack when a real Alertmanager is told of alerts, in the words of the rules."""

import json
import os
import shutil
from collections.abc import Iterator

import pytest

from support.jupyter import wait_until
from support.promql import ROOT
from support.slack import (
    ALERTS,
    QUICK,
    Alertmanager,
    Slack,
    fired,
    running_alertmanager,
    running_slack,
    tell,
)

pytestmark = [
    pytest.mark.patient,
    pytest.mark.real,
    pytest.mark.skipif(
        not shutil.which("prometheus-alertmanager"), reason="needs prometheus-alertmanager"
    ),
]

EXAMPLES = ROOT / "tests/fixtures/slack.json"
"""The messages of docs/slack.png, which tools/slack_picture.py draws."""


@pytest.fixture(scope="module")
def slack() -> Iterator[Slack]:
    """A Slack on loopback."""
    with running_slack() as server:
        yield server


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory, slack: Slack) -> Iterator[Alertmanager]:
    """Alertmanager with the shipped configuration."""
    with running_alertmanager(tmp_path_factory.mktemp("alertmanager"), slack) as running:
        yield running


def test_a_message_says_all_in_four_lines(alertmanager: Alertmanager, slack: Slack) -> None:
    """What, whose and where, which notebook with how much of how much and the time left, and what
    to do; with buttons for runbook, dashboard and silence.
    """
    soon = fired("JupyterKernelMemoryExhaustionSoon", instance="hub1:18888")
    tell(alertmanager, soon)
    said = slack.next_attachment()
    assert said["title"] == "CRITICAL: A kernel is about to run out of memory."
    assert said["text"].splitlines() == [
        "*ada* · `churn model.ipynb` · hub1",
        "*440 MiB of 1 GiB used, full in about 1m 17s.*",
        "→ Save now, then delete large variables or restart the kernel.",
    ]
    assert said["fallback"] == (
        "CRITICAL: A kernel is about to run out of memory. ada: "
        "440 MiB of 1 GiB used, full in about 1m 17s."
    )
    assert said["color"] == "danger"
    assert said["title_link"] == soon["annotations"]["dashboard_url"]
    buttons = {button["text"]: button["url"] for button in said["actions"]}
    assert buttons == {
        "What to do": soon["annotations"]["runbook_url"],
        "Dashboard": soon["annotations"]["dashboard_url"],
        "Silence": "http://alerts.example.org/#/silences/new?filter=%7B"
        "alertname%3D%22JupyterKernelMemoryExhaustionSoon%22%2C%20"
        "instance%3D%22hub1%3A18888%22%2C%20job%3D%22j%22%2C%20kernel_id%3D%22leaks%22%2C%20"
        "kernel_name%3D%22python3%22%2C%20notebook%3D%22churn%20model.ipynb%22%2C%20"
        "severity%3D%22critical%22%2C%20username%3D%22ada%22%7D",
    }


def test_many_kernels_are_one_message(alertmanager: Alertmanager, slack: Slack) -> None:
    """All kernels of a person on a host come together, the first eight in words; another person's
    on the same host, and the same person's on another, come apart.
    """
    name = "JupyterKernelMemoryNearLimit"
    where = {"instance": "hub2:18888", "username": "bob"}
    kernels = [
        fired(name, **where, kernel_id=f"k{n}", notebook=f"{n}.ipynb", scope="host")
        for n in range(10)
    ]
    tell(
        alertmanager,
        *kernels,
        fired(name, instance="hub2:18888", username="eve", scope="host"),
        fired(name, instance="hub2b:18888", username="bob", scope="host"),
    )
    by_first_line = {
        said["text"].splitlines()[0]: said for said in (slack.next_attachment() for _ in range(3))
    }
    assert by_first_line.keys() == {
        "*bob* · hub2",
        "*eve* · `churn.ipynb` · hub2",
        "*bob* · `churn.ipynb` · hub2b",
    }
    said = by_first_line["*bob* · hub2"]
    assert said["title"].startswith("WARNING: ")
    assert said["title"].endswith(" (10)")
    lines = said["text"].splitlines()
    assert len(lines) == 1 + 8 + 1 + 1
    assert {line.partition("`")[0] for line in lines[1:9]} == {"• *bob* "}
    assert lines[9] == "• and more: 10 in all"


def test_what_is_over_is_said(alertmanager: Alertmanager, slack: Slack) -> None:
    """First of one kernel of two, then of the other; neither claims that all went well."""
    name = "JupyterKernelMemoryExhaustionSoon"
    first = fired(name, instance="hub3", username="bob", kernel_id="1", notebook="a.ipynb")
    second = fired(name, instance="hub3", username="bob", kernel_id="2", notebook="b.ipynb")
    tell(alertmanager, first, second)
    assert slack.next_attachment()["title"].startswith("CRITICAL: ")
    tell(alertmanager, second, over=True)
    said = slack.next_attachment()
    assert said["color"] == "danger"
    assert said["text"].splitlines()[1:3] == [
        "• *bob* `a.ipynb`: 440 MiB of 1 GiB used, full in about 1m 17s.",
        "• *bob* `b.ipynb`: no longer so",
    ]
    tell(alertmanager, first, over=True)
    said = slack.next_attachment()
    assert said["title"] == "OVER: A kernel is about to run out of memory."
    assert said["color"] == "good"
    assert said["text"].splitlines() == ["*bob* · `a.ipynb` · hub3", "no longer so"]


def test_a_death_is_never_over(alertmanager: Alertmanager, slack: Slack) -> None:
    """It is told once, with its reason; when the alert ends there is no message."""
    killed = fired("JupyterKernelOOMKilled", instance="hub4", username="bob")
    tell(alertmanager, killed)
    said = slack.next_attachment()
    assert said["title"] == "WARNING: A kernel was killed because memory ran out."
    assert said["text"].splitlines()[1] == (
        "*killed at 1 GiB of 1 GiB (oom_cgroup): "
        "its container, unit or slice had reached its limit.*"
    )
    tell(alertmanager, killed, over=True)
    assert slack.says_nothing(for_seconds=2.5)


def test_what_can_wait_has_its_own_way(alertmanager: Alertmanager, slack: Slack) -> None:
    """Idle kernels of all people of a host are one quiet message, with a name in each line."""
    name = "JupyterKernelIdleHoldingMemory"
    tell(
        alertmanager,
        fired(name, instance="hub5", username="ada", kernel_id="k1"),
        fired(name, instance="hub5", username="bob", kernel_id="k2", notebook=""),
    )
    said = slack.next_attachment()
    assert said["title"] == "INFO: A kernel does nothing and holds much memory. (2)"
    first, *lines = said["text"].splitlines()
    assert first == "hub5"
    assert sorted(lines[:2]) == [
        "• *ada* `a.ipynb`: holds 2 GiB and has done nothing for 1 h.",
        "• *bob* ir: holds 2 GiB and has done nothing for 1 h.",
    ]


def test_names_have_no_power(alertmanager: Alertmanager, slack: Slack) -> None:
    """A person who names a notebook so as to call the whole channel, or to break the message."""
    evil = fired(
        "JupyterKernelMemoryLeak",
        instance="hub6",
        username="<@U1> & co",
        notebook="<!channel>`\n*x*.ipynb",
    )
    evil["annotations"]["description"] = "Kernel 1 of <@U1> & co:\nholds <!here>."
    tell(alertmanager, evil)
    said = slack.next_attachment()
    assert said["text"].splitlines()[:2] == [
        "*&lt;@U1&gt; &amp; co* · `&lt;!channel&gt; *x*.ipynb` · hub6",
        "*holds &lt;!here&gt;.*",
    ]
    assert "<" not in said["title"] + said["text"] + said["fallback"]
    assert "username%3D%22%3C%40U1%3E%20%26%20co%22" in said["actions"][2]["url"]


SUPPRESSED = {
    "an exporter that is down over all": (
        ("JupyterKernelExporterDown", {}),
        ("JupyterKernelExporterSourceDown", {}),
    ),
    "an exporter that is blind over its source": (
        ("JupyterKernelExporterBlind", {}),
        ("JupyterKernelExporterSourceDown", {}),
    ),
    "many people's deaths over one's": (
        ("JupyterKernelDeathsAcrossUsers", {}),
        ("JupyterKernelOOMKilled", {}),
    ),
    "the host's memory over the container's": (
        ("JupyterKernelMemoryNearLimit", {"scope": "host", "kernel_id": "other"}),
        ("JupyterKernelMemoryNearLimit", {"scope": "cgroup"}),
    ),
    "a broken image over a kernel that was given up": (
        ("JupyterKernelStartupFailing", {"kernel_name": "python3"}),
        ("JupyterKernelGaveUp", {"kernel_name": "python3"}),
    ),
    "critical over warning": (
        ("JupyterKernelMemoryExhaustionSoon", {"kernel_id": "k"}),
        ("JupyterKernelMemoryNearLimit", {"kernel_id": "k"}),
    ),
    "warning over info": (
        ("JupyterKernelMemoryNearLimit", {"kernel_id": "k"}),
        ("JupyterKernelIdleHoldingMemory", {"kernel_id": "k"}),
    ),
    "giving up over the crash that led to it": (
        ("JupyterKernelGaveUp", {"kernel_id": "k"}),
        ("JupyterKernelCrashed", {"kernel_id": "k"}),
    ),
    "giving up over the loop": (
        ("JupyterKernelGaveUp", {}),
        ("JupyterKernelCrashLooping", {}),
    ),
    "the loop over a crash": (
        ("JupyterKernelCrashLooping", {}),
        ("JupyterKernelCrashed", {}),
    ),
}


@pytest.mark.parametrize("case", SUPPRESSED)
def test_the_larger_mutes_the_smaller(case: str, alertmanager: Alertmanager, slack: Slack) -> None:
    """One message, of the larger; on another host the smaller comes through."""
    (larger, its_labels), (smaller, labels) = SUPPRESSED[case]
    host = f"host-{list(SUPPRESSED).index(case)}"
    here = {"instance": host, "job": host}
    if "username" in fired(smaller)["labels"]:
        labels = labels | {"username": "ada"}
    source = fired(larger, **its_labels)
    source["labels"] |= here if "instance" in source["labels"] else {"job": host}
    tell(alertmanager, source)
    assert ALERTS[larger]["annotations"]["summary"] in slack.next_attachment()["title"]
    tell(alertmanager, fired(smaller, **labels, **here))
    wait_until(
        lambda: alertmanager.states(alertname=smaller, job=host, **labels) == ["suppressed"],
        "it is inhibited",
    )
    tell(alertmanager, fired(smaller, **labels, instance=f"not-{host}", job=f"not-{host}"))
    said = slack.next_attachment()
    assert ALERTS[smaller]["annotations"]["summary"] in said["title"]
    assert f"not-{host}" in said["text"]


@pytest.mark.parametrize(
    ("larger", "of_another"),
    [
        ("JupyterKernelGaveUp", {"kernel_id": "k2"}),
        ("JupyterKernelCrashLooping", {"kernel_id": "k2", "kernel_name": "julia-1.10"}),
    ],
)
def test_a_loop_mutes_no_other_kernelspec(
    larger: str, of_another: dict[str, str], alertmanager: Alertmanager, slack: Slack
) -> None:
    """That of the same person on the same host, too, is told."""
    where = {"instance": f"loop-{larger}", "username": "ada"}
    tell(alertmanager, fired(larger, **where, kernel_name="python3"))
    assert ALERTS[larger]["annotations"]["summary"] in slack.next_attachment()["title"]
    tell(alertmanager, fired("JupyterKernelCrashed", **where, **of_another))
    assert "nobody had asked" in slack.next_attachment()["title"]


def test_a_death_is_told_beside_a_forecast(alertmanager: Alertmanager, slack: Slack) -> None:
    """That a kernel was killed is not muted by the alert that foresaw it."""
    where = {"instance": "hub7", "username": "ada", "kernel_id": "k1"}
    tell(alertmanager, fired("JupyterKernelMemoryExhaustionSoon", **where))
    assert slack.next_attachment()["color"] == "danger"
    tell(alertmanager, fired("JupyterKernelOOMKilled", **where))
    assert "oom_cgroup" in slack.next_attachment()["text"]


def test_a_person_can_be_told_directly(
    tmp_path_factory: pytest.TempPathFactory, slack: Slack
) -> None:
    """With the lines that wait in the configuration, those in people.tmpl hear of their own."""
    home = tmp_path_factory.mktemp("direct")
    token = home / "token"
    token.write_text("xoxb-not-a-token")
    changes = {
        **QUICK,
        "# direct: ": "",
        "/run/secrets/slack-bot-token": str(token),
        "https://slack.com/api/chat.postMessage": slack.url,
    }
    with running_alertmanager(home, slack, changes) as alertmanager:
        killed = fired("JupyterKernelOOMKilled", instance="hub8", username="ada")
        tell(alertmanager, killed)
        messages = [slack.next_message(), slack.next_message()]
        assert {m.get("channel", "") for m in messages} == {"", "U01EXAMPLE1"}
        assert messages[0]["attachments"] == messages[1]["attachments"]
        # A death is not over when its alert ends.
        tell(alertmanager, killed, over=True)
        assert slack.says_nothing(for_seconds=2.5)
        tell(alertmanager, fired("JupyterKernelOOMKilled", instance="hub8", username="bob"))
        assert "channel" not in slack.next_message()
        assert slack.says_nothing(for_seconds=1.5)


def test_the_picture_in_the_docs_shows_what_is_sent(
    alertmanager: Alertmanager, slack: Slack
) -> None:
    """The messages that docs/slack.png was drawn from are those that are sent today."""
    hub = {"instance": "hub9:18888", "username": "ada"}
    examples = []
    for alert in (
        fired("JupyterKernelMemoryExhaustionSoon", **hub),
        fired("JupyterKernelOOMKilled", **hub, notebook="churn model.ipynb"),
    ):
        tell(alertmanager, alert)
        said = slack.next_attachment()
        assert said["text"].splitlines()[0] == "*ada* · `churn model.ipynb` · hub9"
        examples.append(said)
    text = json.dumps(examples, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("JKE_TEST_RECORD"):
        EXAMPLES.write_text(text)
    assert text == EXAMPLES.read_text(), "see tools/slack_picture.py"
