"""Rules for values that only the sentence explains: secrets and handles without a label.

What lives here: words of a form that nobody types by chance, and short codes, near a word for what
opens something; names that somebody goes by. What does not: values right behind their label
(``rules_secret.py``, ``rules_web.py``).
"""

from __future__ import annotations

import re

from supportbot_dagster.tickets.rule import (
    AUTH,
    AUTHS,
    PLACEHOLDER_VALUE,
    UNIT_AFTER,
    Rule,
    Scan,
    documented,
    joined,
    last_match,
    regex,
)
from supportbot_dagster.tickets.words import COMMON, THING, word_set, words

_OPENER = re.compile(
    r"\b(?:pass ?(?:words?|codes?|phrases?|wd|keys?)|pwd?|pw|[mtu]?pins?|otp|kennwort|passwort|"
    r"parola|contrasena|senha|mot de passe|wachtwoord|losenord|haslo|salasana|secrets?|tokens?|"
    r"credentials?|"
    r"creds|login details|wi-?fi|wpa2?|wlan|root|api ?keys?|(?:access|licen[cs]e|activation|"
    r"product|private|"
    r"signing|encryption|shared|deploy|master|security|recovery|stream|server|publishable) ?keys?|"
    r"(?:access|backup|recovery|gate|door|alarm|entry|unlock|safe|locker|lock ?box|pairing|"
    r"verification|security|login|sign-?in|confirmation|"
    + AUTH
    + r"|one-time|2fa|mfa|sms|invite|claim|"
    r"activation|voucher|gift(?: ?card)?|promo|coupon|discount|redemption|licen[cs]e)[ -]?codes?|"
    r"vouchers?|gift ?cards?|combination|key ?box|secur(?:e|ity) (?:word|answer)|memorable word)\b"
)
_CUES = word_set(
    "pass password passwords passcode passcodes passphrase passphrases passwd passkey passkeys pwd "
    "pw pin pins mpin tpin upin mpins tpins upins otp kennwort passwort parola contrasena senha "
    "mot wachtwoord losenord haslo salasana secret secrets token tokens credential credentials "
    "creds login wifi wi wpa wlan root api apikey apikeys key keys accesskey code codes voucher "
    "vouchers gift giftcard giftcards combination keybox lockbox secure security memorable"
)
# of words written as one, "gatecode", all that the patterns know; of "2fa", "sign-in" and
# "one-time" only the letters next to the code are in its word
_CUES |= joined(
    "api access licence license activation product private signing encryption shared deploy master "
    "security recovery stream server publishable",
    "key keys",
) | joined(
    "access backup recovery gate door alarm entry unlock safe locker lock lockbox box keybox "
    "pairing verification security login signin in confirmation time fa mfa sms invite claim "
    "activation voucher gift giftcard card promo coupon discount redemption licence license "
    "parental parent parents child guest staff screen screentime sim puk engineer manager master "
    "installer service till control " + AUTHS,
    "code codes",
)
_SHOWN = re.compile(
    r"\b(?:shows?|says?|gives?|get|got|returns?|throws?|fails? with|error|errors|failed|exception|"
    r"status|exit|http|version|build|release|commit|sha|hash|digest|checksum|model|firmware|driver|"
    r"chrome|firefox|safari|windows|android|ios|macos|sku|size|file|folder|path|branch|tag|ticket|"
    r"issue|article|section|page|chapter|rfc|iso|cve)\b[^.!?\n]{0,14}$"
)
_SIGNS = frozenset("!#$%&*+=?@^~_.-")
_ORDINARY = re.compile(
    r"(?:\d+(?:[.,:/x\-]\d+)*(?:st|nd|rd|th|am|pm|[kmgt]?i?b|ms|s|h|px|k|m|min|x|%|eur|usd|gbp)?|"
    r"v\d[\w.\-]*|[\w.\-]+\.[a-z]{2,4}|[\w\-]*\d+\.\d[\w.\-]*|(?:19|20)\d\d-\d\d\S*|"
    r"[a-z]{2,5}-\d{1,4}|q[1-4]-?\d*|"
    r"[a-z]{1,6}\d{1,2}|\d{1,2}[a-z]{1,6}|[a-z]+-?\d+(?:[.\-]\d+)*|[a-z]{1,8}-?256|"
    r"(?:[a-z]+[-/])+[a-z]+|[a-z]+\(\)|[a-z]+[.!?]+|\S*://\S*|\S*@\S*\.\S*)",
    re.IGNORECASE,
)


def _is_strong(value: str) -> bool:
    """Whether a word has a form that is made up, not written: digits amid letters, signs."""
    if _ORDINARY.fullmatch(value) or PLACEHOLDER_VALUE.match(value):
        return False
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    if not digits or letters < 2 or len(value) < 6:
        return False
    turns = len(re.findall(r"[A-Za-z]\d|\d[A-Za-z]", value))
    signs = sum(char in _SIGNS for char in value.strip(".-_"))
    mixed = any(map(str.islower, value)) and any(map(str.isupper, value[1:]))
    return turns >= 2 or (turns >= 1 and (signs > 0 or mixed)) or (signs > 0 and digits >= 2)


def _opener_near(scan: Scan, start: int, reach: int) -> bool:
    before = scan.before(start, reach)
    before = before[before.rfind("\n\n") + 1 :]
    return _OPENER.search(before) is not None


_AS_SECRET = re.compile(
    r"[\"'`)]?,? (?:is|was|as|for|being)(?: still| now)?(?: the| my| our| your| his| her| their| "
    r"a)?(?: [a-z\-]+){0,2} (?:password|passcode|passphrase|pin|key|token|secret|code)\b"
)


def _is_secret_word(match: re.Match[str], scan: Scan) -> bool:
    value = match["x"].rstrip(".,;:!?)")
    start = match.start("x")
    if not _is_strong(value) or documented(scan, start, match.end("x")):
        return False
    if _AS_SECRET.match(scan.after(start + len(value), 50)):
        return True
    return _opener_near(scan, start, 100) and _SHOWN.search(scan.before(start, 30)) is None


_DIGITS_OPENER = re.compile(
    r"\b(?:pass ?codes?|[mtu]?pins?|otp|(?:backup|recovery|gate|door|alarm|entry|unlock|safe|"
    r"locker|lock ?box|key ?box|pairing|verification|security|login|sign-?in|confirmation|one-time|"
    r"2fa|mfa|sms|access|parental|parents?|child|guest|staff|screen(?: ?time)?|sim|puk|engineer|"
    r"manager|master|installer|service|till)(?: control)?[ "
    r"-]?codes?|"
    r"codes? (?:used to be|has been|should be|will be)|combination|(?:the|his|her|my|their|your|"
    r"any|no) code(?=[^.!?\n]{0,16}"
    r"\b(?:tried|typed|entered|used|typing|trying|guess(?:ed)?)\b)|codes? (?:that |which )?(?:i|"
    r"you|we|they|he|she)(?:'ve|'d)? (?:texted|sent|gave|got|mailed|"
    r"emailed|typed|entered|tried|used|received|read))\b"
)
_GIVEN_AS = re.compile(
    r"(?:\b(?:is|was|tried|try|trying|typed|typing|type|entered|entering|enter|used|using|use|gave|"
    r"got|sent|texted|to|said|says|still|now|set|not|be|been|and|or|with|both|code|pin|digits)|"
    r"[:=,(\"'])[ ]?[\"'(]?$"
)


def _is_short_code(match: re.Match[str], scan: Scan) -> bool:
    """Whether a few digits are what opens something: "the gate code you texted (7719#)"."""
    value, start, end = match["x"], match.start("x"), match.end("x")
    before = scan.before(start, 90)
    found = last_match(_DIGITS_OPENER, before)
    if found is None or not _GIVEN_AS.search(before):
        return False
    between = before[found.end() :]
    if "\n\n" in between or re.search(r"[.!?]\s.*[.!?]\s", between):
        return False
    if re.search(
        r"\b(?:error|version|digits?|characters?|order|invoice|ticket|case|phone|number|at|since|"
        r"until|for|after|in|from|build|line|row|port|model|account|card|member|ref\w*)\W*$",
        before,
    ):
        return False
    if re.fullmatch(r"(?:19|20)\d\d", value) and len(between) > 6:
        return False
    if UNIT_AFTER.match(scan.after(end)) or re.match(r"[ ]?(?:digit|char|-digit)", scan.after(end)):
        return False
    return not documented(scan, start, end)


_PAPER = re.compile(
    r"\b(?:my|his|her|their|the|national|photo|own|card|customer'?s) (?:id|i\.d\.|identity card|"
    r"passport|"
    r"driving licen[cs]e|driver'?s? licen[cs]e|permit|residence card|document)\b[^\n]{0,50}$"
)
CONTEXT_PAPER = [
    Rule(
        "ID",
        # "send a photo of my ID; I'd rather type it: X4RTBPFW4"
        regex(
            r"(?<![\w./:=@\-#])(?P<x>(?=[A-Z0-9]{0,10}\d)(?=[A-Z0-9]{0,10}[A-Z])[A-Z0-9]{8,12})(?!["
            r"\w@/=\-])",
            flags=0,
        ),
        cues=word_set("id i identity passport licence license permit residence document"),
        digits=1,
        accept=lambda match, scan: (
            _PAPER.search(scan.before(match.start("x"), 90)) is not None
            and not documented(scan, match.start("x"), match.end("x"))
        ),
        score=0.78,
    ),
]
CONTEXT_SECRET = [
    Rule(
        "SECRET",
        regex(
            r"(?<![\w@/.\\$#\-])(?P<x>(?=[^\s\d]{0,60}\d)(?=[^\sA-Za-z]{0,30}[A-Za-z])"
            r"[A-Za-z0-9!#$&*][A-Za-z0-9!#$%&*+=?@^~_.\-]{4,63}[A-Za-z0-9!#$%&*+=?^~_])(?![\w@/])",
            flags=0,
        ),
        cues=_CUES,
        digits=1,
        accept=_is_secret_word,
        score=0.79,
    ),
    Rule(
        "SECRET",
        # what is told of one: "the token ending ..9fQx"
        regex(
            r"\b(?:tokens?|keys?|secrets?|passwords?)[ ](?:that[ ])?(?:ending|ends|starting|starts|"
            r"beginning|begins)(?:[ ](?:in|with|on))?[ ]?"
            r"(?P<x>[\"']?[.*\u2026]{0,4}(?=\S{0,12}\d)[A-Za-z0-9_\-]{3,16})"
        ),
        gate=("token", "key", "secret", "password"),
        digits=1,
        score=0.84,
    ),
    Rule(
        "SECRET",
        regex(
            r"(?<![\w.,:/+$\u20ac\u00a3#\-])(?P<x>\d{3,4}-\d{3,4}|\d{4,8}#?)(?![\w%]|[.,:/\-]\d)",
            flags=0,
        ),
        cues=_CUES,
        digits=4,
        accept=_is_short_code,
        score=0.79,
    ),
]

_NET = (
    r"(?:twitter|x|telegram|instagram|insta|ig|discord|slack|github|gitlab|mastodon|linkedin|"
    r"tiktok|"
    r"reddit|bluesky|threads|skype|signal|snapchat|snap|twitch|steam|youtube|facebook|fb|messenger|"
    r"whatsapp|the forum|your forum|the app|roblox|minecraft|psn|xbox|epic|etsy|ebay|vinted|strava)"
)
_NET_CUES = word_set(
    "twitter x telegram instagram insta ig discord slack github gitlab mastodon linkedin tiktok "
    "reddit bluesky threads skype signal snapchat snap twitch steam youtube facebook fb messenger "
    "whatsapp forum app roblox minecraft psn xbox epic etsy ebay vinted strava"
)


_MEASURE = re.compile(
    r"v?\d[\d.,x]*(?:st|nd|rd|th|px|[pikmgsh]|ms|[kmgt]b|[kmg]bps|[kmg]?hz|fps|dpi|rpm|[mck]m|kg|am|"
    r"pm|d|x|in|ft|bit|mins?)?(?:-(?P<rest>[a-z\-]+))?"
)


def _is_name_of_somebody(match: re.Match[str], scan: Scan) -> bool:
    """Whether a word that is no vocabulary is what somebody is called on the web."""
    value = match["x"].rstrip("._-")
    plain = value.lower()
    if len(plain) < 3 or PLACEHOLDER_VALUE.match(value):
        return False
    if documented(scan, match.start("x"), match.end("x")) or plain in scan.vendor.words:
        return False
    if re.fullmatch(
        r"v?\d[\d.]*|[A-Z]{2,5}-\d+|[A-Z\d_]+|\S+\.(?:js|ts|py|com|net|org|io|csv|pdf|"
        r"png)",
        value,
    ):
        return False
    kind = words().kind
    if re.search(r"[\d_.\-]", value):
        parts = [part for part in re.split(r"[\d_.\-]+", plain) if part]
        measured = _MEASURE.fullmatch(plain)
        if measured is not None and all(
            kind(part) & (COMMON | THING) for part in (measured["rest"] or "").split("-") if part
        ):
            return False  # "x 1080px", "slack 3rd-party apps"
        made_up = any(len(part) >= 3 and not kind(part) & COMMON for part in parts)
        return made_up or (bool(parts) and re.search(r"[\d_]", value) is not None)
    return not kind(plain) & (COMMON | THING) and "'" not in value


def _is_marked(value: str) -> bool:
    """Whether a name holds what words do not: digits, underscores, dots."""
    return re.search(r"[\d_.]", value.rstrip("._-")) is not None


def _is_a_part(match: re.Match[str], scan: Scan) -> bool:
    """Whether words joined by underscores are a part of a service: "the github node_modules"."""
    value = match["x"].lower()
    parts = value.split("_")
    kind = words().kind
    return (
        len(parts) > 1
        and all(kind(part) & (COMMON | THING) for part in parts)
        and re.fullmatch(r"\w+ ", match[0][: match.start("x") - match.start()]) is not None
        and scan.before(match.start(), 5).endswith(("the ", " a "))
    )


_WHO = re.compile(
    r"\b(?:psn|xbox|steam|account|accounts|log-?in|logins|users?|usernames?|seller|buyer|profile|"
    r"handle|"
    r"bann?(?:ed)?|unban(?:ned)?|block(?:ed)?|mute|kick(?:ed)?|insta|instagram|discord|twitter|"
    r"telegram|"
    r"follow(?:ed|er|ing)?|gamer ?tag|nick(?:name)?|player|friend|streamer|channel|subscribed|"
    r"named|called|goes by|link|unlink|name)\b"
)


_CALLED = re.compile(
    r"\b(?:user(?:name)?s?|seller|buyer|profile|nick(?:name)?s?|handle|player|gamer ?tag|"
    r"review(?:er)?|"
    r"reviews|account|channel|streamer|(?:etsy|ebay|vinted|profile|user|account|screen|psn|login) "
    r"names?)(?: (?:by|is|are|named|called|of|from|name))*(?: \w+ and)?[ :]*[\"'(]?$"
)


def _is_made_up_name(match: re.Match[str], scan: Scan) -> bool:
    """Whether a word with an underscore or a capital amid it is somebody's, not a variable."""
    value, start, end = match["x"], match.start("x"), match.end("x")
    if value.isupper() or documented(scan, start, end):
        return False
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", value)
    kind = words().kind
    if _CALLED.search(scan.before(start, 44)):
        return True
    if not any(len(part) >= 3 and not kind(part.lower()) & (COMMON | THING) for part in parts):
        return False
    if value.isalpha():
        return False  # JavaScript, LibreOffice
    around = scan.before(start, 80) + " " + scan.after(end, 30)
    return _WHO.search(around) is not None


CONTEXT_HANDLE = [
    Rule(
        "HANDLE",
        regex(
            r"(?<![\w./:=@\-#&+\\$%{\[])(?P<x>[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+){1,4}|"
            r"[A-Z][a-z]{2,20}(?:[A-Z][a-z]{1,20}){1,3}\d{0,5}|"
            r"[A-Za-z][\w.]{2,31}#\d{4})(?![\w@/=(:\-]|"
            r"[.]\w)",
            flags=0,
        ),
        needs=frozenset({"made"}),
        accept=_is_made_up_name,
        score=0.7,
    ),
    Rule(
        "HANDLE",
        regex(
            r"\b(?:goes by|go by|known as|aka|a\.k\.a\.|(?:user ?name|handle|nickname)(?=[ "
            r"]either)|(?:my|his|her|their|the|your|our|old|new|"
            r"other|real) "
            r"(?:user ?name|handle|nick(?:name)?|gamer ?tag|tag|ign|alias|screen ?name|login|"
            r"account name|"
            r"profile name|player name|user id|display name))(?:[ ](?:is|was|of|to|from|either|"
            r"changed to|should be|now|still|called|the name|on \w+ is)){0,3}[ "
            r":=]{1,2}[\"'(@]?(?P<x>[A-Za-z0-9][\w.\-]{2,40})",
        ),
        cues=word_set(
            "goes go known aka k username user handle nick nickname gamertag gamer tag ign alias "
            "screenname screen login account profile player display"
        ),
        accept=_is_name_of_somebody,
        score=0.71,
    ),
    Rule(
        "HANDLE",
        # "spacemoth on discord", "we're tidal.ceramics on instagram"
        regex(
            r"(?<![\w@/.#])@?(?P<x>[A-Za-z0-9][\w.\-]{2,38}\w)[\"')]? (?:on|over on|at) (?:the )?"
            + _NET
            + r"\b(?!['\w\-])"
        ),
        cues=_NET_CUES,
        accept=lambda match, scan: (
            _is_name_of_somebody(match, scan)
            and (
                _is_marked(match["x"])
                or re.search(
                    r"\b(?:i'?m|i am|we'?re|we are|it'?s|is|as|user|named|called)[ ]?[\"'(]?@?$|@$",
                    scan.before(match.start("x"), 14),
                )
                is not None
            )
        ),
        score=0.71,
    ),
    Rule(
        "HANDLE",
        # "on Discord I'm spacemoth", "twitch: spacemoth", "my insta @spacemoth"
        regex(
            r"\b" + _NET + r"(?:[ ](?:i'?m|i am|as|is|under|by|name|handle|account|user|me|called|"
            r"my|username|called|named|add|id)){0,3}[ ]?[:=]?[ "
            r"][\"'(@]{0,2}(?P<x>[A-Za-z0-9][\w.\-]{2,38}\w)"
        ),
        cues=_NET_CUES,
        accept=lambda match, scan: (
            _is_name_of_somebody(match, scan)
            and not _is_a_part(match, scan)
            and (
                _is_marked(match["x"])
                or scan.text[match.start("x") - 1] in "@\"'"
                or re.search(
                    r"\b(?:i'?m|i am|as|name|handle|user(?:name)?|called|named|id)[ ]$|[:=][ ]?$",
                    scan.before(match.start("x"), 12),
                )
                is not None
            )
        ),
        score=0.71,
    ),
]
