"""Rules for dates of birth.

What lives here: what a date looks like in many countries, and the words that make one somebody's
birthday. What does not: other dates, which stay.
"""

from __future__ import annotations

import re

from supportbot_dagster.tickets.rule import Rule, Scan, documented, last_match, regex
from supportbot_dagster.tickets.words import COMMON, GIVEN, THING, fold, word_set, words

_MONTH = (
    # English, and as the others are written, folded: German, French, Spanish, Portuguese, Italian,
    # Dutch, Scandinavian, Polish, Czech, Turkish
    r"(?:jan[a-z]{0,5}|feb[a-z]{0,6}|fev[a-z]{0,6}|fevr[a-z]{0,4}|mar(?:ch|s|zo|co|t|z|zec|ca)?|"
    r"apr[a-z]{0,5}|abr(?:il)?|avr(?:il)?|ma[iyj](?:o|us)?|mag(?:gio)?|ju[nl][a-z]{0,3}|ju(?:in|"
    r"illet)|juillet|"
    r"giu(?:gno)?|lug(?:lio)?|aug[a-z]{0,4}|ago(?:sto)?|aout|sep[a-z]{0,7}|set(?:embro|tembre)?|"
    r"o[kc]t[a-z]{0,5}|out(?:ubro)?|ott(?:obre)?|no[vw][a-z]{0,6}|de[cszk](?:em[a-z]{0,4})?|"
    r"dic(?:iembre|embre)?|stycznia|lutego|marca|kwietnia|maja|czerwca|lipca|sierpnia|wrzesnia|"
    r"pazdziernika|listopada|grudnia|ledna|unora|brezna|dubna|kvetna|cervna|cervence|srpna|zari|"
    r"rijna|prosince|ocak|subat|mart|nisan|mayis|haziran|temmuz|agustos|eylul|ekim|kasim|aralik)\.?"
)
DATE = (
    r"(?:\d{1,4}[./\-][ ]?\d{1,2}[./\-][ ]?\d{1,4}|"
    r"\d{1,2}(?:st|nd|rd|th|er|\.|\u00ba)?[ \-/](?:of[ ]|de[ ])?"
    + _MONTH
    + r"(?:,?[ \-/](?:de[ ]|of[ ])?'?(?:\d{4}|\d{2}))?|"
    + _MONTH
    + r"[ \-]\d{1,2}(?:st|nd|rd|th)?(?:,?[ \-]'?(?:\d{4}|\d{2}\b))?|"
    r"(?:19|20)\d{6}|"
    + _MONTH
    + r",?[ ](?:19|20)\d\d|[0-3]\d[01]\d(?:19|20)\d\d|\d{1,2}[ ]\d{1,2}[ ](?:19|20)?\d\d)"
)
_BIRTH = (
    r"(?:born|d\.?[ ]?o\.?[ ]?b\.?|dates?[ ]of[ ]birth|birth[ ]?dates?|birth[ ]?da(?:y|te)s?|"
    r"b-?days?|"
    r"year[ ]of[ ]birth|birth[ ]year|geb\.?(?:oren)?|geburts(?:datum|tag)|geboren|geboortedatum|"
    r"nee?[ ]le|naissance|nacid[oa]|nacimiento|nascid[oa]|nascimento|nat[oa][ ]il|nascita|fodt|"
    r"fodd|fodselsdato|fodelsedatum|syntynyt|syntymaaika|ur\.|urodzon[ya]|urodzenia|narozen[ai]?|"
    r"szuletett|szuletesi|dogum|turn(?:s|ed|ing)?[ ]\d{1,3})"
)
_CUES = word_set(
    "born dob birth birthdate birthdates birthday birthdays bday bdays geb geboren geburtsdatum "
    "geburtstag geboortedatum naissance nacido nacida nacimiento nascido nascida nascimento "
    "nascita nato nata ne nee fodt fodd fodselsdato fodelsedatum syntynyt syntymaaika ur urodzony "
    "urodzona urodzenia narozen narozena narozeni szuletett szuletesi dogum turns turned turning "
    "turn b d"
)
_NEAR = re.compile(r"(?<![a-z])" + _BIRTH + r"(?![a-z])|\(b\.")
_AFTER = re.compile(
    r"[\")\]]?,?[ ](?:\(?(?:dob|d\.o\.b\.?)\b|(?:is|was|being)[ ](?:my|his|her|their|our|the)[ ]"
    r"(?:[a-z']+[ ]){0,2}(?:birthday|b-?day|birth|dob|date of birth))"
)
_FORM = re.compile(
    r"\b(?:field|fields|accepts?|formats?|column|columns|picker|validat\w*|placeholder|filter|"
    r"report|reminders?|campaign|calendar|discount|voucher|coupon|party|cake|e-?mails?|automation|"
    r"workflow|gift|wishes)\b"
)
_OTHER = re.compile(
    r"\b(?:since|started|hired|moved|joined|invoice|paid|until|due|expires?|ordered|bought|sent|"
    r"delivered|party|released?|launched)\b"
)
_BREAK = re.compile(r"\n\n|[.!?]\s.*[.!?]\s")


def _is_birth(match: re.Match[str], scan: Scan) -> bool:
    """Whether the words around a date say that somebody was born then."""
    start, end = match.span("x")
    if documented(scan, start, end):
        return False
    if _AFTER.match(scan.after(end, 60)):
        return True
    before = scan.before(start, 90)
    word = last_match(_NEAR, before)
    if word is None:
        return False
    between = before[word.end() :]
    if _FORM.search(before[max(0, word.start() - 24) :]) or _FORM.search(scan.after(end, 24)):
        return False
    if len(between) <= 12:
        return True
    return _BREAK.search(between) is None and _OTHER.search(between) is None


_RECORDED = word_set("patient student pupil insured claimant child son daughter baby")
_CAPITALISED = re.compile(r"\b[A-Z\u00c0-\u00de][\w'\-]+$")
_FULL_NAME = re.compile(
    r"(?P<a>[A-Z\u00c0-\u00de][\w'\-]+)(?:[ ][A-Z]\.)?[ "
    r"](?P<b>[A-Z\u00c0-\u00de][\w'\-]+)$"
)


def _follows_name(match: re.Match[str], scan: Scan) -> bool:
    """Whether a person's first and last name end where a date begins."""
    name = _FULL_NAME.search(scan.text, max(0, match.start() - 60), match.start())
    if "*" in match[0]:
        last_word = _CAPITALISED.search(scan.text, max(0, match.start() - 30), match.start())
        return last_word is not None
    if name is None or documented(scan, match.start("x"), match.end("x")):
        return False
    kind = words().kind
    first, last = kind(fold(name["a"])), kind(fold(name["b"]))
    given = scan.before(name.start(), 12).rstrip().rpartition(" ")[2]
    if given in _RECORDED:
        return True
    return (not first or bool(first & GIVEN)) and not last & (COMMON | THING)


BIRTH = [
    Rule(
        "DATE_OF_BIRTH",
        regex(r"(?<![\w./\-])(?P<x>" + DATE + r")(?![\w]|[./\-:]\d)", flags=0),
        folded=True,
        cues=_CUES,
        digits=2,
        accept=_is_birth,
        score=0.9,
    ),
    Rule(
        "DATE_OF_BIRTH",
        # right after a person's full name: "little Noe Garnier, 04/11/2019, allergic to nuts"
        regex(
            r"(?<=[^\W\d_])(?:,| \(|,? -)[ ]?\*?[ ]?(?P<x>\d{1,2}[./\-]\d{1,2}[./\-](?:19|20)\d\d|"
            r"(?:19|20)\d\d-\d\d-\d\d|\d{1,2}(?:st|nd|rd|th|\.)?[ ](?:of[ ])?"
            + _MONTH
            + r"[ ,]{1,2}(?:19|20)\d\d)(?=[,.;)\n]|[ ]*\Z)(?!\.\d)",
            flags=0,
        ),
        folded=True,
        digits=5,
        accept=_follows_name,
        needs=frozenset({"four"}),
        score=0.85,
    ),
    Rule(
        "DATE_OF_BIRTH",
        # a year alone stands right after its word
        regex(
            r"(?<![a-z])(?:born[ ]in|born|"
            r"\(b\.|year[ ]of[ ]birth|birth[ ]year|jahrgang|nee?[ ]en|nacid[oa][ ]en)(?:[ ](?:is|"
            r"was))?[ ]?[:=]?[ ]?"
            r"(?P<x>19\d\d|20[012]\d)(?![\w]|[./\-]\d)",
            flags=0,
        ),
        folded=True,
        cues=word_set("born b birth jahrgang ne nee nacido nacida"),
        digits=4,
        accept=lambda match, scan: not documented(scan, match.start("x"), match.end("x")),
        score=0.9,
    ),
]
