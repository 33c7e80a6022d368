"""What looks like a secret in a text: keys, tokens, addresses that let in, and random words."""

import math
import re
from collections import Counter
from collections.abc import Iterator

KINDS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/=]",
    "a webhook's address": r"hooks\.slack\.com/services/\w+|discord(?:app)?\.com/api/webhooks/\d+",
    "a token": r"\b(?:A[KS]IA[0-9A-Z]{16}|gh[opsur]_\w{20,}|github_pat_\w+|xox[abeprs]-\d[\w-]{8,}"
    r"|glpat-[\w-]{15,}|glsa_\w{20,}|pypi-\w{20,}|npm_\w{20,}|sk-[\w-]{20,}"
    r"|eyJ[\w-]{10,}\.eyJ[\w.-]+)",
    "an address with a password": r"://[^/\s:@\"'{}<>$%]+:[^/\s:@\"'{}<>$%]+@",
    "long hexadecimal": r"(?<![0-9A-Za-z])[0-9a-fA-F]{32,}(?![0-9A-Za-z])",
    "long base64": r"(?<![\w+/=-])[\w+/-]{40,}={0,2}(?![\w+/=-])",
}
RANDOM_BITS = 4.5
"""Per character: words and paths have less, the base64 of 40 random characters has more."""


def suspicious(text: str) -> Iterator[tuple[str, str]]:
    """What looks like a secret, with its kind."""
    for kind, pattern in KINDS.items():
        for match in re.finditer(pattern, text):
            word = match[0]
            if kind == "long hexadecimal" and len(set(word)) < 8:  # an address of few digits
                continue
            if kind == "long base64" and not _is_random(word):
                continue
            yield kind, word


def _is_random(word: str) -> bool:
    """Whether it has all kinds of characters, and as many different ones as chance gives."""
    kinds = (str.isdigit, str.islower, str.isupper)
    if not all(any(map(kind, word)) for kind in kinds):
        return False
    counts = Counter(word).values()
    bits = -sum(n / len(word) * math.log2(n / len(word)) for n in counts)
    return bits > RANDOM_BITS
