"""Effective capabilities: lines made up, and what this very process has."""

import pytest

from jupyter_kernel_exporter.linux.capabilities import (
    CAPABILITIES,
    parse_capabilities,
    read_capabilities,
)


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        ("0000000000000000", set()),
        ("0000000000080004", {"CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}),
        ("0000000400000000", {"CAP_SYSLOG"}),
        ("000001ffffffffff", set(CAPABILITIES)),
        ("0000000000000001", set()),
    ],
)
def test_parse(mask: str, names: set[str]) -> None:
    """Bits without a name here are passed over."""
    text = f"Name:\tCapEff:\nCapPrm:\t{mask[::-1]}\nCapEff:\t{mask}\nCapBnd:\t0\n"
    assert parse_capabilities(text) == names


@pytest.mark.parametrize("text", ["", "CapEff", "Name:\tx\n"])
def test_a_text_without_them_is_an_error(text: str) -> None:
    """Unknown is not none."""
    with pytest.raises(ValueError, match="CapEff"):
        parse_capabilities(text)


def test_read() -> None:
    """This process has some, or has none, and that can be told."""
    assert read_capabilities() <= CAPABILITIES.keys()
