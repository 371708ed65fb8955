"""Rules for values that a machine's own notation names: fields of records, logs, paths, commands.

What lives here: ``"company": "..."`` of JSON, ``tenant=...`` of a log, the user of a home folder
and of a login. What does not: values that a sentence explains (``rules_context.py``,
``rules_value.py``) and values whose form is proof.
"""

from __future__ import annotations

import re

from supportbot_dagster.tickets.rule import (
    PLACEHOLDER_VALUE,
    Rule,
    Scan,
    documented,
    regex,
)
from supportbot_dagster.tickets.words import COMMON, THING, word_set, words

_NOBODYS = word_set(
    "user users username admin administrator root public default shared guest runner ubuntu debian "
    "app apps node jenkins www www-data deploy vagrant pi postgres mysql nginx git docker build "
    "builder ci test tester example you your name yourname your-name me home local bin lib src var "
    "srv opt null none true false undefined unknown anonymous system service nobody daemon all any "
    "string id owner member viewer editor guests client customer account tenant workspace company "
    "demo sample"
)


def _is_own(match: re.Match[str], scan: Scan) -> bool:
    """Whether a field's value is somebody's rather than a word for anybody."""
    value = match["x"]
    plain = value.lower()
    if plain in _NOBODYS or PLACEHOLDER_VALUE.match(value) or len(value) < 3:
        return False
    if plain in scan.vendor.words or documented(scan, match.start("x"), match.end("x")):
        return False
    parts = [part for part in re.split(r"[^a-z]+", plain) if part]
    kind = words().kind
    return not parts or not all(kind(part) & (COMMON | THING) for part in parts)


def _is_login(match: re.Match[str], scan: Scan) -> bool:
    return "@" not in match["x"] and _is_own(match, scan)


def _is_path_user(match: re.Match[str], scan: Scan) -> bool:
    value = match["x"].lower()
    return value not in _NOBODYS and not PLACEHOLDER_VALUE.match(value)


def _is_token(match: re.Match[str], scan: Scan) -> bool:
    value = match["x"]
    if PLACEHOLDER_VALUE.match(value) or documented(scan, match.start("x"), match.end("x")):
        return False
    digits = sum(map(str.isdigit, value))
    return len(value) >= 8 and digits >= 2 and digits < len(value)


def _is_number(match: re.Match[str], scan: Scan) -> bool:
    value = match["x"]
    if documented(scan, match.start("x"), match.end("x")):
        return False
    return sum(map(str.isdigit, value)) >= 4 and not re.fullmatch(
        r"(?:19|20)\d\d(?:-\d\d){0,2}", value
    )


_ASSIGN = r"(?P<q>[\"'])?[ ]?[:=][ ]?"
"""Between a key and its value: an equals sign or a colon, the key's own quotation mark before."""


def _field(keys: str, value: str) -> re.Pattern[str]:
    """``key=value``, ``"key": "value"``; a key is no part of a longer word."""
    return regex(r"(?<![\w.])[\"']?(?:" + keys + r")" + _ASSIGN + value)


def _quoted(keys: str, value: str) -> re.Pattern[str]:
    """``"key": "value"`` alone: words with spaces end at the quotation mark."""
    return regex(
        r"(?P<k>[\"'])(?:" + keys + r")(?P=k)[ ]?:[ ]?(?P<q>[\"'])(?P<x>" + value + r")(?P=q)"
    )


FIELD_NAME = [
    Rule(
        "COMPANY",
        _quoted(
            r"(?:company|organi[sz]ation|org|employer|customer|client|account|business|vendor)"
            r"(?:_?name)?|legal_?name",
            r"[^\"'\n]*[A-Za-z\u00c0-\u024f][^\"'\n]{1,60}",
        ),
        gate=(
            "compan",
            "org",
            "employer",
            "customer",
            "client",
            "account",
            "business",
            "vendor",
            "legal",
        ),
        accept=lambda match, scan: " " in match["x"] or _is_own(match, scan),
        score=0.8,
    ),
    Rule(
        "PERSON",
        _quoted(
            r"(?:full_?|first_?|last_?|given_?|family_?|display_?|contact_?|owner_?|user_?|"
            r"customer_?|author_?)?name|assignee|reporter|approver|cardholder|contact",
            r"[A-Z\u00c0-\u00de][^\"'\n\d]{1,40}",
        ),
        gate=("name", "assignee", "reporter", "approver", "cardholder", "contact"),
        accept=lambda match, scan: (
            _is_own(match, scan)
            and len(match["x"].split()) <= 4
            and "name" not in match["x"].lower().split()
        ),
        score=0.8,
    ),
    Rule(
        "ADDRESS",
        _quoted(
            r"(?:street|address|billing_?|shipping_?|postal_?)_?(?:address|street)?(?:_?line)?_?\d?",
            r"[^\"'\n]{5,90}",
        ),
        gate=("street", "address"),
        digits=1,
        accept=lambda match, scan: (
            re.search(r"\d", match["x"]) is not None
            and "@" not in match["x"]
            and "://" not in match["x"]
            and not documented(scan, match.start("x"), match.end("x"))
            and re.fullmatch(r"[\d.:/a-f]+", match["x"]) is None
        ),
        score=0.8,
    ),
]

FIELD_LOGIN = [
    Rule(
        "HANDLE",
        regex(
            r"(?:/home/|/Users/|\b[A-Z]:\\(?:Users|Documents and Settings)\\)"
            r"(?P<x>[A-Za-z][\w.\-]{1,38}?)(?=[/\\:\s\"')]|\.?$)"
        ),
        gate=("home/", "users/", "users\\", "settings\\"),
        accept=_is_path_user,
        score=0.86,
    ),
    Rule(
        "HANDLE",
        _field(
            r"user|username|user_?name|login|uid|usr|userid|account_?name|principal|actor|"
            r"submitter|uname",
            r"[\"']?(?P<x>[A-Za-z][\w.\-]{2,38})(?![\w@(])",
        ),
        gate=("user", "login", "uid", "usr", "account", "principal", "actor", "submitter", "uname"),
        accept=lambda match, scan: (
            _is_login(match, scan)
            # a sentence's colon is no assignment: "user: please mend it"
            and (match[0][-len(match["x"]) - 1] in "=\"'" or not match["x"].isalpha())
        ),
        score=0.76,
    ),
    Rule(
        "HANDLE",
        # sshd, docker, databases, curl
        regex(
            r"\b(?:failed|accepted|denied|authenticated|authentication|incorrect|rejected|login|"
            r"logged[ ]in|session[ ]opened|session[ ]closed)\b[^\n]{0,30}?\b"
            r"(?:for[ ](?:invalid[ ])?user|for|user)[ ][\"']?(?P<x>[A-Za-z][\w.\-]{2,38})"
            r"(?=[\"']?(?:[ ]from|[ ]by|:|@|[ ]?\())"
        ),
        cues=word_set(
            "failed accepted denied authenticated authentication incorrect rejected login logged "
            "session"
        ),
        accept=_is_path_user,
        score=0.78,
    ),
    Rule(
        "HANDLE",
        # of a Windows domain: FENWICK\ahosseini
        regex(r"(?<![\w\\/:.])(?P<x>[A-Z][A-Z0-9\-]{2,14}\\[a-z][\w.\-]{2,30})(?![\w\\])", flags=0),
        gate=("\\",),
        score=0.8,
    ),
    Rule(
        "HANDLE",
        regex(r"\bcurl\b[^\n]{0,80}?[ ](?:-u|--user)[ ][\"']?(?P<x>[\w.\-]{2,40}):", flags=0),
        gate=("curl",),
        accept=_is_path_user,
        score=0.85,
    ),
]

FIELD_SECRET = [
    Rule(
        "SECRET",
        regex(
            r"\bcurl\b[^\n]{0,80}?[ ](?:-u|--user)[ ][\"']?[\w.\-]{2,40}:(?P<x>[^\s\"']{3,60})",
            flags=0,
        ),
        gate=("curl",),
        accept=lambda match, scan: not PLACEHOLDER_VALUE.match(match["x"]),
        score=0.9,
    ),
    Rule(
        "SECRET",
        # postgres://app:password@host, also with an @ in the password
        regex(
            r"\b(?!https?)[a-z][a-z0-9+]{2,20}://[^\s:/@\"']{0,40}:(?P<x>[^\s/\"']{3,60})@"
            r"(?=[\w.\-\[]+(?::\d+)?(?:[/\s\"']|$))"
        ),
        gate=("://",),
        accept=lambda match, scan: not PLACEHOLDER_VALUE.match(match["x"]),
        score=0.98,
    ),
    Rule(
        "SECRET",
        _field(
            r"(?:php|j|asp)?sess(?:ion)?(?:_?id)?|sid|connect\.sid|jsessionid|phpsessid|csrf_?token|"
            r"xsrf-token|refresh_?token|id_?token|nonce|otp|cookie",
            r"[\"']?(?P<x>[\w.%+/\-]{8,400})",
        ),
        gate=("sess", "sid", "csrf", "xsrf", "token", "nonce", "otp", "cookie"),
        digits=2,
        accept=_is_token,
        score=0.84,
    ),
]

FIELD_WORKSPACE = [
    Rule(
        "WORKSPACE_URL",
        _field(
            r"tenant(?:_?(?:id|name|slug))?|workspace(?:_?(?:id|name|slug))?|(?:org|team|company)_"
            r"(?:slug|handle)|subdomain|instance_?name|realm",
            r"[\"']?(?P<x>[A-Za-z][\w.\-]{2,60}[A-Za-z0-9])(?![\w@(])",
        ),
        gate=("tenant", "workspace", "_slug", "_handle", "subdomain", "instance", "realm"),
        accept=lambda match, scan: (
            _is_own(match, scan) and match[0][-len(match["x"]) - 1] in "=\"'"
        ),
        score=0.8,
    ),
]

FIELD_NUMBER = [
    Rule(
        "REFERENCE",
        _field(
            r"(?:customer|client|account|acct|order|invoice|booking|member|employee|user|patient|"
            r"policy|case|ticket|subscription|contract|payment|transaction|device|serial|project)"
            r"(?:_?(?:id|no|number|ref))?|cust|emp_?id|cid",
            r"[\"']?(?P<x>(?:[A-Za-z]{0,4}[\-_]?)\d[\w.\-]{2,38}\w|[A-Za-z]{2,6}-[0-9a-f]{6,40})(?![\w@(])",
        ),
        digits=3,
        gate=(
            "customer", "client", "account", "acct", "order", "invoice", "booking", "member",
            "employee", "user", "patient", "policy", "case", "ticket", "subscription", "contract",
            "payment", "transaction", "device", "serial", "cust", "emp", "cid", "project",
        ),
        accept=lambda match, scan: (
            _is_number(match, scan) and match[0][-len(match["x"]) - 1] in "=\"'"
        ),
        score=0.75,
    ),
]  # fmt: skip
