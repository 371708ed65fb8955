"""Rules for values that a neighbouring word explains: numbers, codes and keys of any country.

What lives here: numbers of orders, employees, patients, cases; codes that open something; ids of a
state or a bank. A value is found by its form, and the words just before it say what it is. What
does not: values whose form alone is proof (``rules_number.py``, ``rules_secret.py``).
"""

from __future__ import annotations

import re

from supportbot_dagster.tickets.rule import (
    PLACEHOLDER_VALUE,
    UNIT_AFTER,
    Rule,
    Scan,
    digits_of,
    documented,
    end_of,
    is_message,
    joined,
    regex,
    speaks_of_changes,
    start_of,
    value_of,
)
from supportbot_dagster.tickets.rules_number import TEST_CARDS
from supportbot_dagster.tickets.words import COMMON, THING, word_set, words

_NUMBER_WORD = (
    r"(?:numbers?|nos?\.?|nr\.?|num\.?|id'?s?|codes?|ref(?:erence)?s?\.?|#|\u2116|n\u00ba|s/n)"
)
_STRONG = re.compile(
    # "seller no", "driver ID", "Kundennummer", "numero de pedido": any noun with a word for number
    r"(?:\b(?P<noun>[a-z]+)[ -]?(?P<of>account |registration |file |case |order |card )?"
    r"(?:\b" + _NUMBER_WORD + r")|\b[a-z]{3,24}(?:nummer|number|nr)\b\.?|"
    r"\b(?:numero|num\.?|nro\.?|n\u00ba|numer|cislo|broj|szam|stevilka|sifra|codigo|codice)"
    r"(?: (?:de|do|da|du|di|del|della|of) | (?:dell'|d')| )[a-z]{3,16}|"
    r"\b(?:mrn|trn|utr|awb|pnr|rma|uuid|arn|urn|imei|sn)|\bs/n|\bref|\bno\.|\bnr\.|\u2116|"
    r"n\u00ba)[ ]?[.:#=)]{0,2}\s?"
    r"(?:(?:is|was|are|of|for|wrong:|should be|ist|est|es|e|\u00e9)[ ])?[\"'(#]{0,2}$"
)
_NO_NOUN = word_set(
    "error err status exit http zip post postal country language colour color product port line "
    "row version build model phone tel mobile fax telephone contact page part step issue house "
    "flat room door floor lot item sku size max min the a this that any by on in at of to and or "
    "is was same wrong large small round whole total the odd even lucky serial_error kb article "
    "reason fault area dial dialling question slide chapter week day bug pr column field whatsapp "
    "cell call my your our phone_number sort"
)
_OWNS = word_set("my our your the a this that any")
_RECORDS = word_set(
    "badge badges warrant plate vehicle fleet asset roll folio seat ppsn tenancy enrolment "
    "registration prescription referral quotation estimate invoice invoices order orders receipt "
    "receipts customer customers client clients account accounts acct subscription subscriptions "
    "transaction transactions txn payment payments booking bookings reservation reservations "
    "contract contracts quote quotes refund refunds case cases ticket tickets reference references "
    "ref confirmation tracking shipment shipments parcel parcels dispute disputes claim claims "
    "employee employees staff member members membership memberships student students pupil pupils "
    "patient patients accession accessions serial policy policies licence licences license "
    "licenses permit permits instance instances job jobs docket dockets file files dossier "
    "dossiers matter matters document documents export exports import imports emp cust batch "
    "mandate mandates registration consignment consignments certificate certificates letter "
    "letters voucher vouchers mrn trn utr awb pnr rma po terminal device devices reader machine "
    "number numbers nos id ids sample under tenant agreement lease deed statement slip form record "
    "entry scanner unit warranty loan card site report run lot cert note notes"
)
"""What is kept under a number: a value nearby is one."""
_KEPT = word_set(
    "pin password passcode passport code codes key token bank iban sort phone mobile call dob born "
    "birthday user username login handle passphrase ssn nino vat tax meter serial"
)
_NO_REFERENCE = word_set(
    "error err code codes status exit http version ver v build release model port pid line lines "
    "row rows schema commit sha tag rfc iso din article kb cve art section page pages p windows "
    "chrome firefox safari android ios node java php python postgres mysql react step column field "
    "chapter plan room table floor week q day size max min limit of by than over under on in until "
    "at since tls warning kernel firmware issue pr bug example sample region class level grade usd "
    "eur gbp x standard "
    "regulation form mark patch camt expected packet queue $ \u20ac \u00a3 \u20b9 \u00a5"
)
"""Words after which a number is no reference."""
_SOLD = _RECORDS - word_set(
    "ticket tickets number numbers nos id ids record entry report run note notes import imports "
    "export exports job jobs document documents file files sample under site unit batch form slip "
    "reader letter letters matter matters statement statements reference references"
)
"""Records of people and trade; an issue of a tracker is none of them."""
_NUMBERED_THINGS = word_set(
    "build timestamp epoch pid version line lines bytes size doi isbn issn ean upc sku gtin model "
    "part hash commit seed port offset id_range row rows population count total sum about over "
    "under than around between max maximum min minimum limit value values number result results "
    "returns gives shows says display displays type entering counter odometer steps views hits "
    "requests tokens parameters pixels"
)
"""Words for numbers that are nobody's."""
_IS_END = re.compile(r" (?:is|was|are|were)[ :]*$")
_TRACKER_KEY = re.compile(r"[A-Z]{2,5}-\d{1,4}")
_TRACKED = word_set(
    "issue issues sub-issue bug bugs task tasks story stories epic epics backlog sprint"
)
_LAST_WORD = re.compile(r"([^\W\d_]+|[$\u20ac\u00a3\u20b9\u00a5])\.?[ ]?[:=#(\"']{0,3}[ ]?$")


def _last_word(before: str) -> str:
    found = _LAST_WORD.search(before[-18:])
    return found[1] if found else ""


_FAULTS = word_set(
    "error errors err failed wrong warn warning warnings exception fault reason status fails crash "
    "crashes crashed code codes article articles version cve kb model standard norm schema "
    "template format setting prefix expected pattern"
)
"""Words after which a value is a machine's message."""
_MESSAGES = _FAULTS - {"wrong", "failed", "reason", "status"}
"""Those of them that are not said of one's own number: "EXP-2201-M is wrong, EXP-2210-M right"."""
_ERROR_PREFIX = re.compile(
    r"(?:E|ERR|ERROR|EX|WARN|HTTP|KB|CVE|RFC|ISO|IEC|DIN|EN|TL|UTF|SHA|MD5|AES|TLS|CWE|ES|ECMA|PEP|"
    r"JSR|"
    r"RS|USB|IEEE|ANSI|ASTM|BS|AS|NF|IP|UTC|GMT|COVID|WIN|OS|ORA|SQL|SQLSTATE|HV|CSS|PCI|SOC|NIST|"
    r"Q|H|V|"
    r"ISBN|SAE|FY|WW|CW|KW|MT|HX|RTX|GTX|INC|AUTH|NOT|PERM|NET|SYS|APP|DB|API|UI)",
    re.IGNORECASE,
)
_DATEISH = re.compile(
    r"(?:(?:19|20)\d\d[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)?\d\d|"
    r"(?:19|20)\d\d(?:[-/]\d{2,4})?|\d{1,2}/\d{2,4}|(?:19|20)\d{6}(?:[T_]\d{4,6}Z?)?|"
    r"\d{1,2}h\d{2}|q[1-4]-?\d{2,4}|\d+-bit|\d+(?:st|nd|rd|th)|\d+x\d+|\d+(?:ms|s|px|kb|mb|gb|k|m|"
    r"min|h|"
    r"d|am|pm|tb|mm|cm|kg|g|eur|usd|gbp)|\d+-\d+|\d+/\d+|24/7)",
    re.IGNORECASE,
)


_WORDS = re.compile(r"[a-z]+")


def _clause(before: str) -> frozenset[str]:
    """The words of the clause that a value ends."""
    tail = before[-44:]
    cut = max(tail.rfind(". "), tail.rfind("! "), tail.rfind("? "), tail.rfind("\n"))
    return frozenset(_WORDS.findall(tail[cut + 1 :]))


_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _is_excepted(match: re.Match[str], scan: Scan) -> bool:
    """Whether a word with digits is an example's, an issue's or an incident's."""
    start, end = start_of(match), end_of(match)
    before = scan.before(start, 60).rstrip("#")
    if documented(scan, start, end) and not re.search(r"\bmy |\bour ", before):
        return True
    heads = _clause(before)
    if _TRACKER_KEY.fullmatch(value_of(match)) and (
        heads.isdisjoint(_SOLD) or not heads.isdisjoint(_TRACKED)
    ):
        return True  # "the issue id, OPS-231"
    if speaks_of_changes(scan, start, end) or is_message(scan, start, value_of(match)):
        return True
    return "incident" in heads or "status page" in before


def _is_value(match: re.Match[str], scan: Scan) -> bool:
    """Whether a word with digits is a number that somebody's record is kept under."""
    value = value_of(match)
    start, end = start_of(match), end_of(match)
    if _UUID.fullmatch(value) or (scan.speaks_of_docs and value in TEST_CARDS):
        return False
    count = sum(map(str.isdigit, value))
    if count < 3 and not (len(value) == 6 and value.isupper()):
        return False
    if _is_excepted(match, scan):
        return False
    before = scan.before(start, 60).rstrip("#")
    plain = value.isdigit()
    heads = _clause(before)
    labelled = _number_noun(before)
    if _DATEISH.fullmatch(value) and not (
        (labelled or _last_word(_IS_END.sub(" ", before)) in _RECORDS)
        and re.fullmatch(r"\d{2,8}[-/]\d{3,8}|\d{3,8}[-/]\d{2,8}|\d{4,9}", value)
        and not re.fullmatch(r"(?:19|20)\d\d", value)
    ):
        return False
    if UNIT_AFTER.match(scan.after(end)) or scan.after(end, 2) in {" %", " x"}:
        return False
    head = re.match(r"[A-Za-z]+", value)
    prefix = head[0] if head else ""
    if labelled:
        return count >= 3 and (
            count >= 4 or not plain or before.rstrip().endswith((":", "#", "no.", "no", "id"))
        )
    if _ERROR_PREFIX.fullmatch(prefix) and count < 6:
        return False
    last = _last_word(before)
    if last in _NO_REFERENCE and not (last == "under" and any(map(str.isalpha, value))):
        return False
    seps = len(re.findall(r"[-_/]", value))
    upper = any(char.isupper() for char in value)
    faulty = not heads.isdisjoint(_FAULTS)
    if not faulty and not heads.isdisjoint(_RECORDS):
        if plain:
            return count >= 5 or (
                count == 4
                and re.search(r"(?:ending|ends in|nos?|numbers?)\b[^.]{0,20}$", before) is not None
            )
        if re.fullmatch(r"[A-Z0-9]{6}", value) and upper and count >= 1:
            return True
        if upper or not any(char.isalpha() for char in value):
            return count >= 3 and (seps > 0 or count >= 4)
        return count >= 3 and seps > 0 and any(char.isdigit() for char in value.split("-")[-1])
    if faulty or _ERROR_PREFIX.fullmatch(prefix):
        return False
    if plain and count >= 7 and heads.isdisjoint(_NUMBERED_THINGS):
        return True  # nothing that people count is that large and written without a separator
    letters = any(char.isalpha() for char in value)
    if not upper or (not letters and seps < 2):
        return False
    # a part or a model has few digits: TV-65-Q80-EU
    return (count >= 5 and seps >= 1) or (count >= 6 and letters)


_VALUE = (
    r"(?<![\w.,:/@\-+$\u20ac\u00a3\u20b9&%])(?P<x>(?=[A-Za-z/_-]{0,14}\d)(?>[A-Za-z0-9]+(?:[-"
    r"_/][A-Za-z0-9]+){0,7}))(?![\w@%\u20ac]|[.:]\d|://|[.]\w)"
)
_SPACED = (
    r"(?P<x>(?:(?!(?:ID|NO|NR|REF|SN|PO|TEL)[ ])[A-Z]{1,3}[ ]|\d?[A-Z]\d?[ ])?\d{1,6}(?:[ "
    r"]\d{1,6}){1,5}(?:[ ][A-Z]{2}\b)?|"
    r"[A-Z]\d{1,3}[ ]\d{3,8}|[A-Z]{1,3}[ ][A-Z]{0,2}/?\d{2,10}(?:/\d+)?)(?![\w]|[.:]\d)"
)


_NUMBER_HINT = re.compile(
    r"n[or]s?\b|num|\bsn\b|n\u00ba|\u2116|#|\bid|code|codice|codigo|ref|mrn|trn|utr|awb|pnr|rma|"
    r"u[ru]|arn|imei|s/n|cislo|broj|szam|stevilka|sifra"
)


def looks_kept(scan: Scan, start: int, value: str) -> bool:
    """Whether a value stands next to a word for something that is kept under a number.

    Weaker than what the rules ask for: it is for a person to look at, not for the redaction.
    """
    if _DATEISH.fullmatch(value) or re.fullmatch(r"[A-Z]{2,6}-\d{1,5}|v?\d{1,3}", value):
        return False
    if documented(scan, start, start + len(value)):
        return False
    if UNIT_AFTER.match(scan.after(start + len(value))):
        return False
    clause = _clause(scan.before(start, 60))
    return clause.isdisjoint(_FAULTS) and not clause.isdisjoint(_RECORDS | _KEPT)


def _number_noun(before: str) -> bool:
    near = before[-40:]
    label = _STRONG.search(near) if _NUMBER_HINT.search(near) else None
    if label is None:
        return False
    return label["noun"] not in _NO_NOUN or (label["of"] is not None and label["noun"] in _OWNS)


_LABEL_WORDS = word_set(
    "no nos nr num number numbers id ids code codes ref refs reference references numero nro numer "
    "cislo broj szam stevilka sifra codigo codice mrn trn utr awb pnr rma uuid arn urn imei sn s n "
    "tracking document documents invoice docket order booking membership card consignment parcel "
    "policy claim account contract reservation license licence permit certificate case file loan "
    "receipt ticket shipment customer patient member mandate subscription"
)


def _may_be_labelled(scan: Scan) -> bool:
    """Whether anything in the text says what a number is."""
    if not _LABEL_WORDS.isdisjoint(scan.vocabulary):
        return True
    if any(sign in scan.lower for sign in ("#", "\u2116", "n\u00ba")):
        return True
    return any(word.endswith(("nummer", "number", "nr")) for word in scan.vocabulary)


def _spaced(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match)
    before = scan.before(start_of(match), 60)
    if len(digits_of(value)) < 3 or UNIT_AFTER.match(scan.after(end_of(match))):
        return False
    if documented(scan, start_of(match), end_of(match)):
        return False
    count = len(digits_of(value))
    if _number_noun(before) or re.search(
        r"\b(?:tracking|documents?|invoice|docket|order|booking|membership|card|consignment|parcel|"
        r"policy|claim|"
        r"account|contract|reference|ref|reservation|licen[cs]e|permit|certificate|case|file|loan|"
        r"receipt|"
        r"ticket|shipment|customer|patient|member|mandate|subscription)[ ]?[:#]?[ ]$",
        before,
    ):
        if re.fullmatch(r"[A-Z]{1,3}[ ][A-Z]{0,2}/?\d+(?:/\d+)?", value):
            return _last_word(before) not in _NO_REFERENCE
        return count >= 5
    return False


_MONEY_NEAR = re.compile(
    r"\b(?:cards?|accounts?|ssn|sin|passport|iban|bank|visa|mastercard|amex|debit|credit|number|"
    r"phone|mobile|sim|loan)\b"
)


def _listed(match: re.Match[str], scan: Scan) -> bool:
    """The second of "order nos 50911, 50926": one of the same form stands just before."""
    value = value_of(match)
    before = scan.text[max(0, start_of(match) - 40) : start_of(match)]
    if not before.rstrip(" #").endswith((",", ";", "/", "&", "+", "and", "or", "to")):
        return False
    near = re.search(r"([\w\-/]+)(?:[,;/&+]|[,]? (?:and|or|&|to) )[ ]?#?$", before)
    return (
        near is not None and _form(near[1]) == _form(value) and sum(c.isdigit() for c in value) >= 3
    )


def _form(value: str) -> str:
    return re.sub(r"\d", "0", re.sub(r"[A-Z]", "A", re.sub(r"[a-z]", "a", value)))


def _family(value: str) -> str:
    """What the values of one numbering share: the letters of a tracker's key, else the form."""
    key = _TRACKER_KEY.fullmatch(value)
    return value.partition("-")[0] if key is not None else _form(value)


_HEX_CONTEXT = word_set(
    "commit sha hash build digest image tag revision checksum md5 etag fingerprint branch docker "
    "layer patch changeset version release manifest trace span"
)
_FORMATS = re.compile(
    r"(?:utf|mp|ipv|sha|md|base|oauth|log|h|x|win|web|http|tls|ssl|mpeg|level|step|version|chapter|"
    r"room|table|"
    r"unit|lesson|week|day|phase|tier|part|row|column|test|user|page|sheet|eth|wlan|node|worker|"
    r"shard|core|"
    r"iso|rfc|din|bug|issue|cve|ver|rev|build|api|ie|python|php|java|es|arm|amd|ext|fat|ntfs|usb|"
    r"rs|cat)\d+"
)


def _is_handle_with_digits(match: re.Match[str], scan: Scan) -> bool:
    """Whether letters that are no vocabulary end in a few digits: mgirard75."""
    value = match["x"]
    letters = value.rstrip("0123456789").strip("_.-").lower()
    if _FORMATS.fullmatch(value.lower()) or documented(scan, match.start("x"), match.end("x")):
        return False
    parts = [part for part in re.split(r"[_.\-]", letters) if part]
    kind = words().kind
    if "." in letters and not value[-1].isdigit():
        return False
    return any(len(part) >= 4 and not kind(part) & (COMMON | THING) for part in parts) or (
        "_" in value and len(letters) >= 6
    )


_TRAVEL = word_set(
    "flight train trip pnr hotel room stay locator ref trips flights hold under code plate reg"
)


def _is_mixed(match: re.Match[str], scan: Scan) -> bool:
    """Whether capitals and digits take turns as in a booking code: QX7LM2."""
    value = match["x"]
    if sum(map(str.isdigit, value)) < 2 or sum(map(str.isalpha, value)) < 2:
        return False
    if not re.search(r"\d[A-Z]+\d|[A-Z]\d+[A-Z]", value) or documented(
        scan, match.start("x"), match.end("x")
    ):
        return False
    clause = _clause(scan.before(match.start("x"), 60))
    turns = len(re.findall(r"(?<=\d)[A-Z]|(?<=[A-Z])\d", value))
    if turns < 4 and clause.isdisjoint(_RECORDS | _KEPT | _TRAVEL):
        return False  # a part such as WS2812B
    return clause.isdisjoint(
        _FAULTS | _HEX_CONTEXT | {"type", "size", "chip", "cpu", "gpu", "part", "sku", "unit"}
    )


_DOTTED = re.compile(
    r"\b(?:id|no|nr|number|ref|reference|code|transaction|trx|txn|receipt|"
    r"payment)\W{0,3}(?:is )?$"
)
_VEHICLE = re.compile(
    r"\b(?:vans?|cars?|trucks?|lorr(?:y|ies)|vehicles?|plates?|reg(?:istration)?|bus|taxi|trailer|"
    r"tractor|"
    r"motorbike|bike|scooter|number ?plate|licen[cs]e plate|kennzeichen|rego)(?: (?:no|number|is|"
    r"was|with|the|plates?|reg))*[:,(]?[ ]$"
)
REFERENCE_VALUE = [
    Rule(
        "REFERENCE",
        # "transaction id PP240612.1044.C83310", "docket 2:24-cv-00917"
        regex(
            r"(?<![\w./:=@\-])(?P<x>(?=[\w.]{0,12}[A-Z])[A-Z0-9]{2,14}(?:\.[A-Z0-9]{2,14}){1,4}|"
            r"\d:\d\d-[a-z]{2}-\d{3,6}|\d+ [A-Z][a-z]? \d+/\d\d)(?![\w]|[.:]\w)",
            flags=0,
        ),
        digits=5,
        accept=lambda match, scan: (
            sum(map(str.isdigit, match["x"])) >= 5
            and (
                _DOTTED.search(scan.before(match.start("x"), 24)) is not None
                or re.search(r"\b(?:docket|case|file|court)\b", scan.before(match.start("x"), 24))
                is not None
            )
        ),
        needs=frozenset({"parts"}),
        score=0.74,
    ),
    Rule(
        "REFERENCE",
        regex(
            r"(?<![\w\-])(?P<x>[A-Z]{1,3}[ -]?[A-Z]{0,2}[ -]?\d{1,4}[ -]?[A-Z]{0,3}|\d{1,4}[ "
            r"-]?[A-Z]{1,3}[ -]?\d{0,4}|"
            r"[A-Z]{2}\d{2}[ ][A-Z]{3})(?![\w\-])",
            flags=0,
        ),
        cues=word_set(
            "van vans car cars truck trucks lorry lorries vehicle vehicles plate plates reg "
            "registration bus taxi trailer tractor motorbike bike scooter number numberplate "
            "licence license kennzeichen rego"
        ),
        digits=1,
        accept=lambda match, scan: (
            len(match["x"].replace(" ", "")) >= 5
            and _VEHICLE.search(scan.before(match.start("x"), 40)) is not None
        ),
        score=0.73,
    ),
    Rule(
        "REFERENCE",
        regex(r"(?<![\w./:=@\-#&])(?P<x>[A-Z0-9]{6,14})(?![\w@/=(\-]|[.:]\w)", flags=0),
        digits=2,
        needs=frozenset({"turns", "coded"}),
        accept=_is_mixed,
        score=0.73,
    ),
    Rule(
        "HANDLE",
        regex(
            r"(?<![\w./:=@\-#&+\\])(?P<x>[a-z][a-z._]{2,24}\d{1,4})(?![\w@/=(:\-]|[.]\w)", flags=0
        ),
        digits=1,
        needs=frozenset({"lettered", "coded"}),
        accept=_is_handle_with_digits,
        score=0.7,
    ),
    Rule(
        "SECRET",
        regex(r"(?<![\w./:=@\-#])(?P<x>[0-9a-f]{16,31})(?![\w@/=(\-])", flags=0),
        digits=3,
        needs=frozenset({"hex"}),
        accept=lambda match, scan: (
            len(set(match["x"])) > 5
            and any(map(str.isdigit, match["x"]))
            and not match["x"].isdigit()
            and _clause(scan.before(match.start("x"), 60)).isdisjoint(_HEX_CONTEXT)
        ),
        score=0.8,
    ),
    Rule(
        "REFERENCE",
        regex(r"\b(?:ends|ended|ending)(?:[ ](?:in|with|on))?[ ](?P<x>\d{3,6})(?![\w]|[.,:/%]\d)"),
        cues=word_set("ends ended ending"),
        digits=3,
        accept=lambda match, scan: (
            _MONEY_NEAR.search(scan.before(match.start(), 160)) is not None
            and UNIT_AFTER.match(scan.after(match.end("x"))) is None
            and re.fullmatch(r"20\d\d", match["x"]) is None
        ),
        score=0.74,
    ),
    Rule(
        "REFERENCE",
        regex(_VALUE, flags=0),
        digits=2,
        accept=lambda m, s: _value_or_list(m, s),
        needs=frozenset({"value"}),
        score=0.74,
    ),
    Rule(
        "REFERENCE",
        regex(r"(?=[A-Z\d])(?<![\w.,:/@\-+])" + _SPACED, flags=0),
        digits=3,
        accept=_spaced,
        maybe=_may_be_labelled,
        score=0.74,
    ),
]


def _value_or_list(match: re.Match[str], scan: Scan) -> bool:
    # values come from left to right: what stood before is decided
    taken: set[int] = scan.memo.setdefault("values", set())
    if _is_taken(match, scan, taken):
        taken.add(start_of(match))
        return True
    return False


def _is_taken(match: re.Match[str], scan: Scan, taken: set[int]) -> bool:
    value = match["x"]
    if sum(map(str.isdigit, value)) < 3 and not (len(value) == 6 and value.isupper()):
        return False
    families: set[str] = scan.memo.setdefault("families", set())
    if _is_value(match, scan):
        families.add(_family(value))
        return True
    if not _listed(match, scan):
        # "my file no. is EXP-2201-M, hers seems to be EXP-2210-M"
        return (
            len(value) >= 6
            and any(map(str.isalpha, value))
            and _family(value) in families
            and not _is_excepted(match, scan)
            and _clause(scan.before(start_of(match), 60)).isdisjoint(_MESSAGES)
        )
    start = start_of(match)
    before = scan.text[max(0, start - 80) : start]
    first = re.search(r"([\w\-/]+)(?:[,;/&+]|[,]? (?:and|or|&|to) )[ ]?#?$", before)
    if first is None:
        return False
    return max(0, start - 80) + first.start(1) in taken


# --- codes that open something ------------------------------------------------------------------

_CODE_LABEL = (
    r"(?:codes?|keys?|pins?|phrase|gift ?cards?|vouchers?|licen[cs]es?|txt(?: record| value)?|"
    r"tokens?|secrets?|wpa2?|passkey|promo|passwords?)"
)
_CODE_CUES = word_set(
    "code codes key keys pin pins phrase word password passwords card cards voucher vouchers "
    "licence license licences licenses txt token tokens secret secrets wpa wpa2 passkey promo "
    "coupon number giftcard giftcards numbers"
)


_OPENS = re.compile(
    r"\b(?:door|gate|alarm|lock|locker|locksmith|entry|access|safe|pin|unlock|garage|cabin|till)\b"
)
_OPEN_CODES = word_set(
    "error status exit http reason zip post postal country area dial dialling dialing currency bar "
    "qr fault language color colour source dress tax state locale sort unit result response return "
    "event stop issuer decline same embed sample example short sic hs mcc naics airport iata ean "
    "upc error- vat department product ledger nominal gl cost centre center"
)
"""What a code may be that opens nothing."""


def _is_code(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match).rstrip(".,;")
    if PLACEHOLDER_VALUE.match(value) or documented(scan, start_of(match), end_of(match)):
        return False
    count = sum(char.isdigit() for char in value)
    label = match[0].lower()
    if label.startswith("code") and not _clause(scan.before(match.start(), 60)).isdisjoint(
        _FAULTS - {"code", "codes", "wrong"}
    ):
        return False
    if label.startswith("code") and _last_word(scan.before(match.start(), 18)) in _OPEN_CODES:
        return False
    if label.startswith("code") and re.fullmatch(r"[A-Z]{2,4}\d{3,5}", value):
        named = _last_word(scan.before(match.start(), 18))
        if named in {"", "with", "exit", "by", "is", "the", "in", "of"} and is_message(
            scan, start_of(match), value
        ):
            return False  # "fails with code MSB3073"
    if label.startswith("key") and _TRACKER_KEY.fullmatch(value):
        return False
    if (
        label.startswith("code")
        and re.fullmatch(r"[A-Z]{1,4}-\d{1,4}", value)
        and _OPENS.search(scan.before(match.start(), 24)) is None
    ):
        return False  # "code TL-403" is a machine's message
    if re.fullmatch(r"(?:19|20)\d\d|\d{1,3}|v?\d+\.\d[\d.]*|\d{1,2}[/:.]\d{1,2}.*", value):
        return False
    if "_" in value and value.upper() == value and count < 3:
        return False
    letters = any(char.isalpha() for char in value)
    if count == 4 and _OPENS.search(scan.before(match.start(), 24)) is not None:
        return True
    if not letters:
        return count >= 5 or ("-" in value and count >= 5)
    return count >= 2 and len(value) >= 6


_LICENCE = r"(?P<x>[A-Z0-9]{2,6}(?:-[A-Z0-9]{3,6}){2,7})"


def _is_licence(match: re.Match[str], scan: Scan) -> bool:
    value = match["x"]
    count = sum(char.isdigit() for char in value)
    parts = value.split("-")
    mixed = sum(1 for p in parts if any(c.isdigit() for c in p) and any(c.isalpha() for c in p))
    if documented(scan, match.start("x"), match.end("x")):
        return False
    if _ERROR_PREFIX.fullmatch(parts[0]) or re.search(
        r"cve|model|version|sku|template|format|error", scan.before(match.start("x"), 24)
    ):
        return False
    return count >= 3 and (mixed >= 2 or (mixed >= 1 and len(parts) >= 4))


CODE = [
    Rule(
        "SECRET",
        regex(
            r"\b"
            + _CODE_LABEL
            + r"(?:[ ](?:is|was|are|were|number|no\.?|on (?:the )?\w+|says|reads|called|for [\w "
            r"]{1,18}?)|[ ]?[:=\-(]){0,3}"
            r"[ ]{0,2}[\"'`]?(?P<x>(?:[A-Z]{2,5}[ ](?=\d{4}))?(?=[\w\-./+=!#]{0,60}\d)[A-Za-z0-9]["
            r"\w\-./+=!#]{3,80})(?<![.,])"
        ),
        cues=_CODE_CUES,
        digits=2,
        accept=_is_code,
        score=0.86,
    ),
    Rule(
        "SECRET",
        regex(r"(?<![\w\-./])" + _LICENCE + r"(?![\w\-])", flags=0),
        gate=("-",),
        digits=3,
        accept=_is_licence,
        needs=frozenset({"licence"}),
        score=0.845,
    ),
    Rule(
        "SECRET",
        regex(r"(?<=, )(?P<x>[a-z0-9]{3,10}-[a-z0-9]{3,10}(?:-[a-z0-9]{3,10}){0,4})(?![\w\-])"),
        gate=("-",),
        digits=2,
        accept=lambda match, scan: (
            _listed(match, scan)
            and re.search(r"codes?|keys?|vouchers?|tokens?", scan.before(match.start("x"), 90))
            is not None
        ),
        needs=frozenset({"dashed"}),
        score=0.85,
    ),
    Rule(
        "SECRET",
        regex(
            r"(?:backup|recovery|one-time|verification|security|login|2fa)[ ]codes?(?:[ ](?:is|"
            r"was))?[ ]?:?[ ](?P<x>\d{4}[ -]\d{4}|\d{3}[ -]\d{3})(?![\w])"
        ),
        gate=("code",),
        digits=6,
        score=0.87,
    ),
    Rule(
        "SECRET",
        regex(
            r"\b(?:pin|passcode|password|otp|pass ?word|pincode)\b[^\n]{0,80}?\b(?:it|that|which|"
            r"mine|this|screen|it's|he|she|box)?[ ]?"
            r"(?:is|was|says?|reads?|said|shows?|told(?: (?:him|her|them|you|me))?|"
            r"gave(?: (?:him|her|them|you))?|typed|entered|used|=|:)[ "
            r"][\"']?(?P<x>\d{4,8})(?![\w.,:/%-]\w|\w)"
        ),
        cues=word_set("pin passcode password pass otp pincode"),
        digits=4,
        accept=lambda match, scan: (
            re.fullmatch(r"(?:19|20)\d\d", match["x"]) is None
            and UNIT_AFTER.match(scan.after(match.end("x"))) is None
            and re.search(
                r"error|code (?:is )?$|like|digit|character|example|version", match[0].lower()
            )
            is None
            and not documented(scan, match.start("x"), match.end("x"))
        ),
        score=0.84,
    ),
    Rule(
        "SECRET",
        regex(
            r"\b(?:(?:memorable|secret|security|safe|magic|pass|code)[ -]?(?:word|answer|phrase)|"
            r"security question)"
            r"(?:[ ](?:is|was|should be)|[ ]?[:=]){1,2}[ ][\"']?(?P<x>[^\s\"'.,;!?]{3,40})"
        ),
        cues=word_set("word answer phrase question")
        | joined("memorable secret security safe magic pass code", "word answer phrase"),
        accept=lambda match, scan: (
            match["x"].lower() not in _NO_WORD and not PLACEHOLDER_VALUE.match(match["x"])
        ),
        score=0.86,
    ),
]
_NO_WORD: frozenset[str] = word_set(
    "not wrong missing the a an my your case required optional too never always correct incorrect "
    "asked shown hidden gone invalid rejected now still too being set what which lost forgotten"
)


# --- ids of states and banks ---------------------------------------------------------------------

_STATE = re.compile(
    r"\b(?:ssn|social|sin|tfn|nino?|ni number|national insurance|nhs|abn|acn|ird|bsn|pesel|dni|nie|"
    r"nif|cpf|cnpj|cuit|rut|curp|rfc|uen|nric|fin|hkid|aadhaar|aadhar|pan|vat|tin|ein|itin|tax|"
    r"steuernummer|steuerid|steuernr|steueridentifikationsnummer|"
    r"passport|licen[cs]e|kennitala|personnummer|fodselsnummer|cpr|henkilotunnus|isikukood|egn|cnp|"
    r"jmbg|"
    r"orgnr|org\.? ?nr|tunnus|oib|amka|afm|vkn|tckn|emirates id|iqama|omang|nuit|kra pin|bvn|nimc|"
    r"ghana card|business number|bn|"
    r"gst|gstin|gstn|gstno|hst|org(?:anisation|anization)?\.? (?:number|no|nr)|identity|id card|id "
    r"number|id no|mrn|"
    r"cvr|orgnr|kvk|siren|siret|ico|dic|krs|regon|nip|cui|eik|bulstat|pib|uid|nzbn|bce|crn|ubn|cin|"
    r"rnc|nit|ruc|cnic|nik|philhealth|sss|my ?kad|ic number|ahv|insee|securite sociale|tfn)\b"
)


_STATE_CUES = (
    frozenset(_WORDS.findall(_STATE.pattern))
    | frozenset(
        {
            "steuernummer",
            "steuerid",
            "licence",
            "license",
            "gstin",
            "gst",
            "organisation",
            "organization",
            "org",
            "ni",
            "nin",
            "nino",
        }
    )
    | {"steuernr", "steueridentifikationsnummer", "gstn", "gstno"}
)


def _near_state(match: re.Match[str], scan: Scan) -> bool:
    before = scan.before(match.start("x"), 90)
    found = next(reversed(list(_STATE.finditer(before))), None)
    if found is None or documented(scan, match.start("x"), match.end("x")):
        return False
    if re.search(
        r"\b(?:field|column|format|digits|validat\w+|error|dates?)\b", before[found.start() :]
    ):
        return False
    value = match["x"]
    if found.start() < 30 and found[0] in {"fin", "rfc", "sin", "pan", "tin", "rut"}:
        return False
    if re.fullmatch(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}", value):
        return False
    if re.fullmatch(r"(?:19|20)\d\d", value) or UNIT_AFTER.match(scan.after(match.end("x"))):
        return False
    return len(digits_of(value)) >= 6


_NO_OFFICE = frozenset(
    "SMTP IMAP POP DNS TCP UDP TLS SSL USD EUR GBP CHF SEK NOK DKK PLN INR JPY CNY AUD CAD NZD ZAR "
    "UAH AED SAR KES NGN BRL MXN UTC GMT KB MB GB TB RFC ISO DIN EN CVE PID ERROR ERR HTTP SHA MD "
    "ROW LINE ID API SDK PR MR OK TO AT IN ON BY OF CALL TEL FAX MOB PH CELL HTTPS CODE CODES "
    "BUILD VERSION PORT STEP PAGE MODEL HEX TZ IST EST PST GET POST PUT LTS BUG TASK US RGB MM CM "
    "KM HZ KHZ MHZ GHZ DPI MAX MIN NET SKU EAN ISBN ISSN RAM "
    "CPU HDD SSD INFO WARN DEBUG TRACE".split()
)
STATE_VALUE = [
    Rule(
        "ID",
        regex(r"(?<![\w\-/.])(?P<x>\d{2}-\d{2}-\d{2}(?:[ ]?[/,]?[ ]?\d{6,10})?)(?![\w\-/])"),
        digits=6,
        accept=lambda match, scan: (
            (
                re.search(
                    r"\b(?:sort|bank|account|acct|a/c|payee|beneficiary|iban|refund|deposit)\b",
                    scan.before(match.start("x"), 70),
                )
                is not None
                and int(match["x"][3:5]) > 12
            )
            or re.search(r"\b(?:sort|bank)\b", scan.before(match.start("x"), 40)) is not None
        ),
        needs=frozenset({"sort"}),
        score=0.8,
    ),
    Rule(
        "ID",
        regex(
            r"(?<![\w.,/@+$\-])(?P<x>[A-Z]{0,3}[ ]?\d{2,12}(?:[ .\-/]\d{1,6}){0,4}(?:[ "
            r"\-]?[A-Z]{1,2}\d{0,4})?)(?![\w]|[.:]\d)",
            flags=0,
        ),
        cues=_STATE_CUES,
        digits=6,
        accept=_near_state,
        score=0.76,
    ),
    Rule(
        "ID",
        # an office's own abbreviation and a number: "CVR 12345678", "TID 4410 2291", "UPN A1234567"
        regex(
            r"(?<![\w\-/])(?P<label>[A-Z]{2,6})(?: (?:no\.?|nr\.?|number|id|is|was)){0,2}:?[ ]"
            r"(?P<x>[A-Z]{0,2}\d(?:[ .\-]?\d){4,15}(?:[ \-]?[A-Z]{1,2})?)(?![\w]|[.:,/]\d)",
            flags=0,
        ),
        digits=5,
        accept=lambda match, scan: (
            match["label"] not in _NO_OFFICE
            and not documented(scan, match.start("x"), match.end("x"))
            and UNIT_AFTER.match(scan.after(match.end("x"))) is None
            and re.fullmatch(
                r"(?:19|20)\d{6}|(?:19|20)\d\d[-. ]\d{1,2}[-. ]\d{1,2}|(?:.* )?\d+(?:\.\d+)+|"
                r"\d{1,3}(?:[. ]000)+",
                match["x"],
            )
            is None
            and _clause(scan.before(match.start(), 60)).isdisjoint(_FAULTS)
        ),
        needs=frozenset({"five"}),
        score=0.75,
    ),
    Rule(
        "ID",
        regex(
            r"\b(?:upi|vpa|gpay|phonepe|paytm)(?:[ ](?:id|address|handle|is|to|on))*[ ]?[:=]?[ "
            r"](?P<x>[\w.\-]{2,40}@[a-z]{2,20})(?!\w|\.\w)"
        ),
        gate=("@",),
        score=0.9,
    ),
    Rule(
        "ID",
        regex(
            r"\b(?:ifsc|micr|aba|bsb|clabe|cbu|cvu|nuban|transit|institution|routing|rtn|sort[ "
            r"-]?code|swift|bic|"
            r"blz|acc|clearing(?: number)?|bankgiro|plusgiro|autogiro|kontonr|kontonummer|konto|"
            r"account|acct|a/c|bank)"
            r"(?:[/ ](?:no\.?|number|nr\.?|code|account|institution|transit|acct|at the bank|at "
            r"\w+|and account|and))*"
            r"(?:[ ](?:is|was|to|changed to|now))?[ ]?[:=#.]?[ ]?(?P<x>(?=[a-z\d "
            r"\-]{0,12}\d)(?:[a-z]{4}0[a-z0-9]{6}|\d{2,12}(?:[ \-]\d{1,10}){0,5}|"
            r"[a-z]{2,6}\d{5,12}))"
            r"(?![\w]|[.:]\d)",
            flags=0,
        ),
        folded=True,
        cues=word_set(
            "ifsc micr aba bsb clabe cbu cvu nuban transit institution routing rtn sort sortcode "
            "swift bic blz acc clearing bankgiro plusgiro autogiro kontonr kontonummer konto "
            "account acct a bank"
        ),
        digits=5,
        accept=lambda match, scan: (
            len(digits_of(match["x"])) >= 6
            and UNIT_AFTER.match(scan.after(match.end("x"))) is None
            and not documented(scan, match.start("x"), match.end("x"))
        ),
        score=0.81,
    ),
]
