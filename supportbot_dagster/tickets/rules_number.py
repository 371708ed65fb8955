"""Rules for numbers that a machine gave out: cards, accounts, hosts, phones.

What lives here: the checks by checksum, length and neighbouring words. What does not: numbers that
stand for a person or an order (:mod:`supportbot_dagster.tickets.rules_identity`).
"""

from __future__ import annotations

import ipaddress
import re

from supportbot_dagster.tickets.rule import (
    CAPITALS,
    NUMBERS,
    UNIT_AFTER,
    Rule,
    Scan,
    digits_of,
    documented,
    end_of,
    entropy,
    exemplified,
    regex,
    start_of,
    value_of,
)

# --- payment -----------------------------------------------------------------------------------


def luhn(digits: str) -> bool:
    """Whether a string of digits carries a valid Luhn check digit."""
    total = 0
    for index, char in enumerate(reversed(digits)):
        value = int(char)
        if index % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


TEST_CARDS = frozenset(
    "4242424242424242 4000056655665556 5555555555554444 2223003122003222 5200828282828210 "
    "5105105105105100 378282246310005 371449635398431 6011111111111117 6011000990139424 "
    "3056930009020004 36227206271667 3566002020360505 6200000000000005 4111111111111111 "
    "4000000000000002 4000000000003220 4000002500003155 30569309025904 3530111333300000".split()
)
"""Numbers that payment services publish for tests; nobody's where docs are quoted."""
_MONEY_WORD = re.compile(
    r"card|visa|master|amex|credit|debit|payment|charge|cvv|cvc|discover|maestro|on the back"
)


def _is_card(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match)
    digits = digits_of(value)
    if len(set(digits)) < 2 or not 12 <= len(digits) <= 19:
        return False
    if digits in TEST_CARDS and documented(scan, start_of(match), end_of(match)):
        return False
    if not luhn(digits) and exemplified(scan, start_of(match), end_of(match)):
        return False
    if (
        scan.text[max(0, start_of(match) - 5) : start_of(match)] == "card="
        and digits in TEST_CARDS
        and scan.speaks_of_docs
    ):
        return False
    grouped = re.fullmatch(r"\d{4}(?:[ -]\d{4}){3}|\d{4}[ -]\d{6}[ -]\d{5}", value) is not None
    near = _MONEY_WORD.search(scan.before(start_of(match), 50)) is not None
    if grouped or near:
        return True
    return digits[0] in "3456" and len(digits) in (14, 15, 16, 19) and luhn(digits)


CARD = [
    Rule(
        "CARD",
        regex(r"(?<![\w.\-/+])(?P<x>\d(?:[ -]{0,2}\d){11,18})(?![\w]|[.\-]\d)"),
        accept=_is_card,
        digits=12,
        needs=frozenset({"twelve"}),
        starts=NUMBERS,
        score=0.94,
    ),
    Rule(
        "CARD",
        regex(
            r"(?<![\w\-])(?P<x>(?:(?:[x*#\u2022.]{4}|\d{4})[ \-]?){1,3}(?:[x*#\u2022]{2,4}[ "
            r"\-]?)\d{2,4}|[x*\u2022]{4,12}[ \-]?\d{4})(?![\w])"
        ),
        gate=("xx", "**", "##", "\u2022\u2022"),
        digits=3,
        score=0.86,
    ),
    Rule(
        "CARD",
        regex(
            r"\b(?:card|visa|mastercard|amex|maestro)\b[^\n\d]{0,30}?(?:ending|ends|last(?: four|"
            r" 4)?(?: digits)?|(?:four|4) digits|\.{2,}|\*{2,}|x{2,}|"
            r"\u2022{2,})[^\n\d]{0,22}(?P<x>\d{4})\b(?!-\d)"
        ),
        gate=("card", "visa", "amex", "maestro"),
        digits=True,
        score=0.94,
    ),
]


_IBAN_LENGTHS = dict(
    zip(
        [
            "AD",
            "AE",
            "AL",
            "AT",
            "AZ",
            "BA",
            "BE",
            "BG",
            "BH",
            "BR",
            "CH",
            "CR",
            "CY",
            "CZ",
            "DE",
            "DK",
            "DO",
            "EE",
            "ES",
            "FI",
            "FO",
            "FR",
            "GB",
            "GE",
            "GI",
            "GL",
            "GR",
            "HR",
            "HU",
            "IE",
            "IL",
            "IS",
            "IT",
            "KW",
            "KZ",
            "LB",
            "LI",
            "LT",
            "LU",
            "LV",
            "MC",
            "MD",
            "ME",
            "MK",
            "MT",
            "MU",
            "NL",
            "NO",
            "PK",
            "PL",
            "PS",
            "PT",
            "QA",
            "RO",
            "RS",
            "SA",
            "SE",
            "SI",
            "SK",
            "SM",
            "TN",
            "TR",
            "UA",
        ],
        [
            24,
            23,
            28,
            20,
            28,
            20,
            16,
            22,
            22,
            29,
            21,
            22,
            28,
            24,
            22,
            18,
            28,
            20,
            24,
            18,
            18,
            27,
            22,
            22,
            23,
            18,
            27,
            21,
            28,
            22,
            23,
            26,
            27,
            30,
            20,
            28,
            21,
            20,
            20,
            21,
            27,
            24,
            22,
            19,
            31,
            30,
            18,
            15,
            24,
            28,
            29,
            25,
            29,
            24,
            22,
            24,
            24,
            19,
            24,
            27,
            24,
            26,
            29,
        ],
        strict=True,
    )
)


def _is_iban(match: re.Match[str], scan: Scan) -> bool:
    compact = re.sub(r"[ \-]", "", value_of(match)).upper()
    length = _IBAN_LENGTHS.get(compact[:2])
    if documented(scan, start_of(match), end_of(match)):
        return False
    if "iban" in scan.before(start_of(match), 30) and len(compact) >= 14:
        return True
    return length is not None and abs(len(compact) - length) <= 1


IBAN = [
    Rule(
        "IBAN",
        regex(
            r"(?<![\w\-])(?P<x>[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ "
            r"-]?[A-Z0-9]{1,3})?)(?![\w])",
            flags=0,
        ),
        accept=_is_iban,
        digits=6,
        needs=frozenset({"iban"}),
        starts=CAPITALS,
        score=0.95,
    ),
]


_COIN_WORD = re.compile(
    r"\b(?:wallets?|crypto|coins?|bitcoin|btc|eth|ethereum|sol|solana|xrp|ripple|doge\w*|usdt|usdc|"
    r"tether|blockchain|on-?chain|payouts?|withdraw\w*)\b"
)


def _is_wallet(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match)
    if not any(char.isdigit() for char in value):
        return False
    if value.startswith(("0x", "bc1", "ltc1", "tb1", "addr1", "stake1", "bitcoincash:")):
        return True
    if (value[0] in "rD" or len(value) > 42) and not _COIN_WORD.search(scan.lower):
        return False  # as long as a key is; a word about coins must tell them apart
    return entropy(value) > 3.5


WALLET = [
    Rule(
        "WALLET",
        regex(
            r"(?<![\w/\-])(?P<x>0x[0-9a-fA-F]{40}|(?:bc|ltc|tb)1[a-z0-9]{20,80}|"
            r"(?:addr|stake)1[a-z0-9]{40,110}|(?:cosmos|osmo|celo|bnb|zil|terra)1[a-z0-9]{30,60}|"
            r"bitcoincash:[a-z0-9]{30,50}|D[1-9A-HJ-NP-Za-km-z]{33}|r[1-9A-HJ-NP-Za-km-z]{24,34}|"
            r"[1-9A-HJ-NP-Za-km-z]{43,44}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|"
            r"[LM][1-9A-HJ-NP-Za-km-z]{26,33}|4[0-9AB][1-9A-HJ-NP-Za-km-z]{93}|"
            r"T[1-9A-HJ-NP-Za-km-z]{33})(?![\w])",
            flags=0,
        ),
        accept=_is_wallet,
        digits=1,
        needs=frozenset({"long"}),
        score=0.96,
    ),
]


# --- network -----------------------------------------------------------------------------------

_VERSION_WORD = re.compile(
    r"(?:\b(?:v|version|ver|build|release|firmware|driver|update[ds]?|upgrade[ds]?|downgrade[ds]?|"
    r"patch|"
    r"chrome|chromium|edge?|firefox|safari|opera|opr|electron|macos|ios|android|app|client|sdk|cli|"
    r"agent|plugin|runtime|package|installer|nightly|beta|rc|kernel|dotnet|\.net|java|python|node|"
    r"sonarqube|jira|confluence|gitlab|nginx|assembly|library|image|tag|changelog|section|skill|"
    r"theme|module|extension|addon|add-on|schema|engine|"
    r"dashboard|desktop|server|os|windows|linux|ubuntu|debian|postgres|mysql|redis|php|ruby))"
    r"[\s:/=v(#-]*(?:is|was|number|to|from|at|on)?[\s:/=v(#-]*(?:[\d.]+[\s,]*(?:to|and|->|or|"
    r",)?[\s]*v?)?$"
)
_IP_WORD = re.compile(
    r"\bips?\b|ipv4|address|server|(?<!self-)host|\bping|subnet|firewall|allow|vpn|cidr|from my|"
    r"gateway|"
    r"proxy|dns|network"
)


_VERSION_NEAR = re.compile(
    r"\b(?:versions?|releases?|updat(?:e[ds]?|ing)|upgrad(?:e[ds]?|ing)|plugin|builds?|"
    r"downgrad(?:e[ds]?|ing)|patch(?:ed)?|beta|alpha|roll(?:ed|ing)? back|stopped working|firmware|"
    r"compatible|changelog|since|layer|install(?:ed|ing)?|we are on|i am on|still on|is on|runs)\b"
)
_TAGGED = re.compile(r"[a-z]/?[\w.\-]*[a-z]:$|@$")
"""The name of an image before its tag: ``acme/server:10.2.3.4``."""
_DOCUMENTATION = tuple(
    ipaddress.IPv4Network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
)


_RESOLVERS = frozenset(
    {"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220"}
)
"""Public name servers, which everybody pings."""


def _is_documentation(address: ipaddress.IPv4Address) -> bool:
    return any(address in net for net in _DOCUMENTATION)


def _is_ipv4(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match).split("/")[0].split(":")[0]
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return False
    if (
        address.is_loopback
        or address.is_unspecified
        or value.startswith("255.")
        or value in _RESOLVERS
    ):
        return False
    before = scan.before(start_of(match), 44)
    after = scan.after(end_of(match), 40)
    if re.match(r"-?(?:rc|beta|alpha|dev|snapshot|preview|hotfix)", after):
        return False
    asked = _IP_WORD.search(before) or _IP_WORD.search(after)
    if documented(scan, start_of(match), end_of(match)):
        return False
    if (
        address.is_private
        and not _is_documentation(address)
        and (match["net"] or value.endswith((".0", ".1", ".254", ".255")))
    ):
        return False
    parts = [int(part) for part in value.split(".")]
    if not asked and not address.is_private:
        # 24.9.3.2 next to 24.10.2, or four small numbers: a version
        if max(parts) <= 31:
            return False
        if max(parts) < 100 and re.search(
            rf"(?<![\d.]){parts[0]}\.\d{{1,3}}\.\d{{1,4}}(?![\d.]*\.\d)", scan.text
        ):
            return False
    near = _VERSION_NEAR.search(scan.before(start_of(match), 60)) is not None
    if not asked and near and (max(parts) <= 31 or (max(parts) < 100 and parts[0] < 32)):
        return False
    if max(parts) <= 31 and _VERSION_NEAR.search(scan.before(start_of(match), 120)) and not asked:
        return False
    if max(parts) < 100 and _TAGGED.search(before[-40:]) and "://" not in before[-40:]:
        return False
    if scan.vendor.name and before.rstrip(" v(").endswith(scan.vendor.name):
        return False
    if _VERSION_WORD.search(before) and not _IP_WORD.search(before[-14:]):
        return False
    return not (re.search(r"^\s*(?:version|build|release|update)\b", scan.after(end_of(match))))


def _is_ipv6(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match).split("/")[0].split("%")[0]
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified) and len(value) > 4


IP = [
    Rule(
        "IP",
        regex(
            r"(?<![\w.\-])(?P<x>\d{1,3}(?:\.\d{1,3}){3}(?P<net>/(?!32)\d{1,2})?)(?:/32)?(?::\d{2,5})?(?![\w]|\.\d)"
        ),
        accept=_is_ipv4,
        digits=4,
        needs=frozenset({"quad"}),
        marks=regex(r"\.(?=\d)"),
        score=0.9,
    ),
    Rule(
        "IP",
        regex(r"(?<=[a-z]-)(?P<x>\d{1,3}(?:-\d{1,3}){3})(?=\.)"),
        digits=4,
        needs=frozenset({"hosted"}),
        marks=regex(r"-(?=\d)"),
        score=0.8,
    ),
    Rule(
        "IP",
        regex(
            r"(?<![\w:.])(?P<x>(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%\w{1,8})?"
            r"(?:/\d{1,3})?)(?![\w:])"
        ),
        gate=(":",),
        accept=_is_ipv6,
        digits=1,
        needs=frozenset({"colons"}),
        marks=regex(":"),
        score=0.9,
    ),
]

MAC = [
    Rule(
        "MAC",
        regex(
            r"(?<![\w:\-])(?P<x>[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|"
            r"[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})(?![\w:\-])"
        ),
        gate=(":", "-", "."),
        digits=1,
        needs=frozenset({"hexes"}),
        marks=regex(r"[:\-.](?=[0-9a-f])"),
        score=0.93,
    ),
]


# --- phone -------------------------------------------------------------------------------------

_PHONE_WORD = re.compile(
    r"phone|\btel\b|\btel[.:]|telef|mobile|\bmob\b|\bcell|\bcall|\bring|whats ?app|\bsms\b|"
    r"\btext|\bfax|"
    r"reach (?:me|us)|contact|number is|numero|handy|\bdial|signal|voicemail|hotline|line:|"
    r"landline|extension|\bph\b|\bm:|\bt:|\bp:|\bc:|\bo:"
)
_OTHER_NUMBER = re.compile(
    r"\b(?:order|invoice|ticket|case|account|customer|card|issue|build|version|serial|tracking|"
    r"reference|ref|id|timestamp|epoch|vat|tax|iban|po)\b[^.\n]{0,18}$"
)


def _is_phone(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match).strip()
    digits = digits_of(re.split(r"(?:x|ext)", value.lower())[0])
    if not 7 <= len(digits) <= 15 or len(set(digits)) < 3:
        return False
    if re.fullmatch(r"\d+\.\d+", value):
        return False
    if re.match(r"\.[a-z]{2,5}\b", scan.after(end_of(match))) or re.match(
        r"(?:19|20)\d\d-\d\d-\d\d[ _-]", value
    ):
        return False  # of a file, or of a moment
    if documented(scan, start_of(match), end_of(match)):
        return False
    if scan.speaks_of_docs and "555" in digits:
        return False  # the numbers that no country gives out
    if re.fullmatch(r"(?:19|20)\d\d[-/. ]\d{1,2}[-/. ]\d{1,2}(?:[ ]\d{1,2})?", value):
        return False
    if re.fullmatch(r"\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)\d\d(?:[ ]\d{1,2})?", value):
        return False
    if re.fullmatch(r"(?:(?:19|20)\d\d[ /\-]*){2,4}", value):
        return False
    if re.fullmatch(r"\d{1,3}(?:[ .]000)+|\d{1,3}(?:\.\d{3})+", value):
        return False
    before = scan.before(start_of(match), 40)
    if value.startswith("+"):
        return True
    if UNIT_AFTER.match(scan.after(end_of(match))):
        return False
    called = _PHONE_WORD.search(before) is not None
    if called and not _OTHER_NUMBER.search(before):
        return True
    if _OTHER_NUMBER.search(before):
        return False
    if re.fullmatch(
        r"(?:1[ .\-])?\(?[2-9]\d\d\)?[ .\-]{1,2}\d{3}[ .\-]\d{4}(?:\s*(?:x|ext\.?).*)?", value
    ):
        return True
    if re.fullmatch(r"555[ .\-]\d{4}", value):
        return True
    grouped = re.search(r"[ ()\-/.]", value) is not None
    if value.startswith(("0", "(0")) and len(digits) >= 9:
        return grouped or len(digits) in (10, 11)
    if grouped:
        shape = [len(part) for part in re.split(r"[ ()\-/.]+", value.strip("()")) if part]
        if len(digits) < 9 or (set(shape[1:]) == {3} and shape[0] <= 3 and " " in value):
            return False  # 500 000 000: a number with thousands separators
        return "." not in value and len(digits) <= 12
    return len(digits) == 10 and digits[0] in "6789" and digits not in "98765432109876"


PHONE = [
    Rule(
        "PHONE",
        regex(
            r"(?=[+(\d])(?:(?<![\w.#/:=@\-+])|(?<=[=:/])(?=\+\d))(?P<x>(?:\+[ ]?|\(\+)?\(?\d(?:[ "
            r"()./\-]{0,3}\d){6,16}"
            r"(?:[ ,]{0,2}(?:x|ext\.?|extension)[ ]?\d{1,6})?)(?![\w@]|[.\-/:]\d)"
        ),
        accept=_is_phone,
        digits=7,
        needs=frozenset({"seven"}),
        starts=regex(r"[+(\d]\d*"),
        score=0.82,
    ),
]
