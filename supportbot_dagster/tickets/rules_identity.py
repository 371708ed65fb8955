"""Rules for what an office knows a person by.

What lives here: government ids, order and account references, the UUIDs of accounts. What does not:
names, postal addresses and dates of birth, which are the tagger's
(:mod:`supportbot_dagster.tickets.tagger`).
"""

from __future__ import annotations

import re

from supportbot_dagster.tickets.rule import (
    CAPITALS,
    NUMBERS,
    Rule,
    documented,
    exemplified,
    is_message,
    regex,
    speaks_of_changes,
)

# --- government ids ----------------------------------------------------------------------------


_CODE = regex(r"[A-Z\d][A-Z\d]*", flags=0)
_DIGIT = regex(r"\d")


GOVERNMENT_ID = [
    Rule(
        "ID",
        regex(r"(?<![\w\-])(?P<x>(?!000|666|9)\d{3}[- ](?!00)\d{2}[- ](?!0000)\d{4})(?![\w\-])"),
        accept=lambda match, scan: (
            "-" in match["x"]
            or "ss" in scan.before(match.start("x"), 24)
            or "social" in scan.before(match.start("x"), 30)
        ),
        digits=9,
        needs=frozenset({"social"}),
        starts=NUMBERS,
        score=0.9,
    ),
    Rule(
        "ID",
        regex(
            r"(?<![\w\-])(?P<x>ATU\d{8}|BE[ ]?0\d{3}[. ]?\d{3}[. ]?\d{3}|DE[ ]?\d{9}|DE[ ]\d{3}[ "
            r"]\d{3}[ ]\d{3}|DK[ ]?\d{8}|"
            r"ES[ ]?[A-Z0-9]\d{7}[A-Z0-9]|FR[ ]?[A-Z0-9]{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}|GB[ "
            r"]?\d{3}[ ]?\d{4}[ ]?\d{2}(?:[ ]?\d{3})?|"
            r"IE[ ]?\d[A-Z0-9+*]\d{5}[A-Z]{1,2}|IT[ ]?\d{11}|NL[ ]?\d{9}[ ]?B\d{2}|PL[ ]?\d{10}|"
            r"PT[ ]?\d{9}|SE[ ]?\d{12}|"
            r"FI[ ]?\d{8}|CZ\d{8,10}|HU\d{8}|RO\d{6,10}|EL\d{9}|LU\d{8}|SK\d{10}|SI\d{8}|"
            r"HR\d{11}|EE\d{9}|LV\d{11}|LT\d{9,12}|"
            r"BG\d{9,10}|CY\d{8}[A-Z]|MT\d{8}|CHE[- ]?\d{3}[. ]?\d{3}[. ]?\d{3}|NO[ ]?\d{9}(?:[ "
            r"]?MVA)?)(?![\w\-])",
            flags=0,
        ),
        digits=6,
        accept=lambda match, scan: not exemplified(scan, match.start("x"), match.end("x")),
        needs=frozenset({"five"}),
        starts=CAPITALS,
        score=0.9,
    ),
    Rule(
        "ID",
        regex(
            r"(?<![\w\-.])(?P<x>\d{3}\.\d{3}\.\d{3}-\d{2}|\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}|"
            r"\d{2}[A-Z]{5}\d{4}[A-Z][A-Z0-9]Z[A-Z0-9]|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ "
            r"]?\d{2}[ ]?\d{2}[ ]?\d{2}[ ]?[A-D]|"
            r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]|[XYZ]\d{7}[A-Z]|\d{8}[A-HJ-NP-TV-Z]|"
            r"[STFGM]\d{7}[A-Z]|[A-Z]{5}\d{4}[A-Z]|\d{6}[-+]\d{4}|[1-4]\d{2}[ ]\d{2}[ ]\d{2}[ "
            r"]\d{2}[ ]\d{3}[ ]\d{3}[ ]\d{2}|"
            r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d)(?![\w\-])",
            flags=0,
        ),
        digits=4,
        accept=lambda match, scan: not exemplified(scan, match.start("x"), match.end("x")),
        needs=frozenset({"state"}),
        starts=_CODE,
        score=0.88,
    ),
]


# --- references --------------------------------------------------------------------------------

_FORGE_WORD = re.compile(
    r"(?:\bpr|pull request|pull|issue|issues|\bmr|merge request|bug|commit|milestone|chapter|"
    r"step|item|colou?r|hex|"
    r"background|theme|css|label|fill|shade|channel|row|line|page|section|rank|part|priority)s?[ "
    r":=\"'(]*$"
)


REFERENCE = [
    Rule(
        "REFERENCE",
        regex(
            r"(?<![\w\-])#?(?P<x>(?:inv|invoice|ord|order|acc|acct|account|cust|customer|cus|"
            r"client|ref|po|so|rma|tck|tkt|ticket|case|sub|txn|pay|"
            r"pmt|cr|cn|re|rg|rn|quo|qt|quote|contract|lic|rcpt|receipt|refund|bill|bil|sup|sr|"
            r"fac|fact|req)"
            r"(?:[-_/#](?:[a-z]{1,4}[-_/]?)?|(?=\d))\d{2,12}(?:[-_/][a-z0-9]{1,12}){0,3})(?![\w])",
            flags=0,
        ),
        folded=True,
        accept=lambda match, scan: (
            _prefixed_reference(match["x"])
            and not is_message(scan, match.start("x"), match["x"])
            and re.search(
                r"\b(?:error|err|fehler|erreur)\b[^.\n]{0,14}$", scan.before(match.start("x"), 24)
            )
            is None
            and not documented(scan, match.start("x"), match.end("x"))
        ),
        digits=3,
        marks=regex(r"\d(?<=[a-z\-_/#]\d)", flags=0),
        needs=frozenset({"coded"}),
        score=0.83,
    ),
    Rule(
        "REFERENCE",
        regex(r"(?<![\w/&\-#])#[ ]?(?P<x>[A-Z]{0,3}-?\d{4,14}(?:-\d{1,8})?)(?![\w])"),
        gate=("#",),
        digits=True,
        accept=lambda match, scan: (
            not documented(scan, match.start(), match.end())
            and _FORGE_WORD.search(scan.before(match.start(), 20)) is None
            and _FORGE_WORD.search(scan.before(match.start(), 20).rstrip("# ")) is None
            and not speaks_of_changes(scan, match.start(), match.end())
            and re.search(r"colou?r|hex|css|theme", scan.before(match.start(), 40)) is None
            and not (
                len(match["x"]) in (4, 6) and re.search(r"\bcolou?rs?\b|\bcss\b|rgb", scan.lower)
            )
        ),
        score=0.77,
    ),
    Rule(
        "REFERENCE",
        regex(
            r"(?<![\w\-])(?P<x>(?:cus|sub|in|ch|pi|pm|evt|acct|txn|ord|usr|user|ws|org|wsp|inv|"
            r"py|re|si|seti|req|sess|dev|cs|mem|team)_(?=[A-Za-z]*\d)[A-Za-z0-9]{8,60})(?![\w])"
        ),
        gate=("_",),
        digits=1,
        marks=_DIGIT,
        score=0.86,
    ),
]


def _prefixed_reference(value: str) -> bool:
    head = re.match(r"[A-Za-z]+", value)
    prefix = head[0].upper() if head else ""
    count = sum(char.isdigit() for char in value)
    separated = re.search(r"[-_/#]", value) is not None
    if prefix in {
        "INV",
        "INVOICE",
        "ORD",
        "ORDER",
        "ACCT",
        "ACC",
        "CUST",
        "CUSTOMER",
        "TXN",
        "RCPT",
        "RECEIPT",
    }:
        return count >= 3 and (separated or count >= 4)
    if not separated:
        return False
    return (
        count >= 5
        or re.search(r"(?:19|20)\d\d[-_/]\d{2,}", value) is not None
        or (count >= 4 and prefix not in {"RE"})
    )


_ACCOUNT_WORD = re.compile(
    r"account|workspace|user|customer|org|tenant|session|subscription|request|trace|device|member|"
    r"licen[cs]e|correlation|debug|support|invoice|client|install|\bmine\b|\bmy\b|\bour\b|\bhis\b|"
    r"\bher\b|\bwho\b|contact|employee|student|patient|course|profile|person"
)

UUID = [
    Rule(
        "ID",
        regex(
            r"(?<![\w\-])(?P<x>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?!["
            r"\w\-])"
        ),
        gate=("-",),
        marks=_DIGIT,
        accept=lambda match, scan: (
            _ACCOUNT_WORD.search(scan.before(match.start("x"), 60)) is not None
        ),
        digits=1,
        needs=frozenset({"run32"}),
        score=0.87,
    ),
]
