"""Rules for keys and tokens.

What lives here: known prefixes and random-looking strings. What does not: passwords, which only the
words around them give away (:mod:`supportbot_dagster.tickets.tagger`), and web addresses that carry
a secret (:mod:`supportbot_dagster.tickets.rules_web`).
"""

from __future__ import annotations

import re

from supportbot_dagster.tickets.rule import (
    PLACEHOLDER_VALUE,
    Rule,
    Scan,
    end_of,
    entropy,
    regex,
    start_of,
    value_of,
)

_PREFIXED_KEY = (
    r"(?:(?:sk|pk|rk)_(?:live|test)_|tl_(?:(?:live|test|api|pat|key|sk)_)?|gh[pousr]_|github_pat_|"
    r"glpat-|gldt-|glrt-|xox[abeoprs]-|xapp-|(?:AKIA|ASIA|AGPA|AROA)(?=[A-Z0-9]{12})|AIza|ya29\.|"
    r"SG\.|npm_|pypi-|hf_|dop_v1_|sk-ant-|sk-proj-|sk-|lin_api_|lin_oauth_|whsec_|shpat_|shpss_|"
    r"rzp_live_|"
    r"figd_|ntn_|secret_|key-|pat-|EAAC|NRAK-|dckr_pat_|ATATT|atlasv1\.|vault:|hvs\.|r8_|gsk_)"
)


def _looks_random(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match)
    tail = re.sub(r"^" + _PREFIXED_KEY, "", value)
    if re.search(
        r"(?:your|xxxx|example_?key|placeholder|my_?key|here|redacted|example$)", tail.lower()
    ):
        return False
    if "_test_" in value[:9] and exemplified_key(scan):
        return False
    if not any(char.isdigit() for char in tail):
        shapes = (str.islower, str.isupper)
        return len(tail) >= 12 and not any(s(tail) for s in shapes) and "_" not in tail
    return len(tail) >= 6


_QUOTED_DOCS = re.compile(
    r"\b(?:from|in|of|the) (?:the |your |their |its )?(?:[a-z]{3,16} )?(?:docs|documentation|"
    r"quick ?start|readme|tutorial|sample|examples?)\b"
)


def exemplified_key(scan: Scan) -> bool:
    """Whether a message quotes docs, where a key for tests is everybody's."""
    return _QUOTED_DOCS.search(scan.lower) is not None


def _hex_secret(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match)
    if len(set(value.lower())) < 5 or not any(char.isdigit() for char in value):
        return False
    near = scan.before(start_of(match), 24)
    if re.search(r"commit|sha|revision|\brev\b|hash|checksum|digest|md5|/$", near):
        return False
    # "git bisect says X", "the hash in the release notes (X)", "the build X fails"
    if len(value) in {40, 64} and _CHECKED_OUT.search(scan.before(start_of(match), 50)):
        return False
    return _COMMIT_AFTER.match(scan.after(end_of(match), 40)) is None


_CHECKED_OUT = re.compile(
    r"\b(?:git|bisect|builds?|hash(?:es)?|release notes|checksums?|commits?|cherry-pick|tag|"
    r"changeset|submodule|merged|reverted)\b[^\n]{0,24}$"
)
_COMMIT_AFTER = re.compile(
    r"[)\"']? (?:is|was) the (?:first |last )?(?:bad|good|broken|offending) "
)


def _base64_secret(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match)
    mixed = (
        any(char.isdigit() for char in value)
        and any(char.isupper() for char in value)
        and any(char.islower() for char in value)
    )
    if not mixed or "://" in scan.before(start_of(match), 200).rpartition(" ")[2]:
        return False
    words_inside = re.findall(r"[A-Z]?[a-z]{4,}", value)
    if sum(map(len, words_inside)) > len(value) * 0.5:
        return False
    return entropy(value) >= 3.6


SECRET = [
    Rule(
        "SECRET",
        regex(r"(?<![\w])(?P<x>" + _PREFIXED_KEY + r"[\w\-.=/+]{5,300}[\w=])", flags=0),
        gate=(
            "_",
            "glpat-",
            "gldt-",
            "glrt-",
            "xox",
            "xapp-",
            "akia",
            "asia",
            "agpa",
            "aroa",
            "aiza",
            "ya29",
            "sg.",
            "pypi-",
            "sk-",
            "key-",
            "pat-",
            "eaac",
            "nrak-",
            "atatt",
            "atlasv1",
            "vault:",
            "hvs.",
        ),
        accept=_looks_random,
        score=0.98,
    ),
    Rule(
        "SECRET",
        regex(r"(?<![\w.])(?P<x>eyJ[\w\-]{5,4000}(?:\.[\w\-]{4,8000}){1,2})", flags=0),
        gate=("eyj",),
        score=0.99,
    ),
    Rule(
        "SECRET",
        regex(
            r"-----BEGIN [A-Z0-9 ]{3,40}-----[\s\S]{1,8000}?(?:-----END [A-Z0-9 ]{3,40}-----|\Z)",
            flags=0,
        ),
        gate=("-----begin",),
        score=0.99,
    ),
    Rule(
        "SECRET",
        regex(
            r"\bssh-(?:rsa|ed25519|dss) (?P<x>AAAA[\w+/=]{20,2000}(?: \S{3,80}@\S{1,80})?)", flags=0
        ),
        gate=("ssh-",),
        score=0.99,
    ),
    Rule(
        "SECRET",
        regex(r"(?<![\w\-/#])(?P<x>[0-9a-f]{32,256})(?![\w\-])"),
        accept=_hex_secret,
        digits=1,
        needs=frozenset({"hex", "run32"}),
        score=0.85,
    ),
    Rule(
        "SECRET",
        regex(r"(?<![\w\-/+.@#])(?P<x>[A-Za-z0-9+/_\-]{24,500}={0,2})(?![\w\-])", flags=0),
        accept=_base64_secret,
        digits=1,
        needs=frozenset({"long"}),
        score=0.84,
    ),
    Rule(
        "SECRET",
        regex(
            r"\b(?:bearer|basic)[ ]+(?P<x>[\w\-.=/+~]{12,2000})",
        ),
        gate=("bearer", "basic"),
        accept=lambda match, scan: (
            any(char.isdigit() for char in match["x"]) and not PLACEHOLDER_VALUE.match(match["x"])
        ),
        score=0.9,
    ),
]
