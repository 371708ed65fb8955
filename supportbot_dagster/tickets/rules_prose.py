"""Rules for values that are told in passing: passwords, codes, answers, workspaces, birth dates.

What lives here: what people write instead of a label ("the PDF opens with X", "your SMS says X",
"first pet was X", "merge X into Y", "for the age check I gave X"). What does not: values behind
their label (``rules_secret.py``, ``rules_birth.py``, ``rules_web.py``).
"""

from __future__ import annotations

import re

from supportbot_dagster.tickets.persons import NOT_NAMES
from supportbot_dagster.tickets.rule import (
    PLACEHOLDER_VALUE,
    UNIT_AFTER,
    Rule,
    Scan,
    documented,
    entropy,
    regex,
)
from supportbot_dagster.tickets.rules_birth import DATE
from supportbot_dagster.tickets.words import COMMON, GIVEN, SURNAME, THING, word_set, words

# --- passwords -----------------------------------------------------------------------------------

_SIGN = re.compile(r"[!#$%&*+=?@^~_]")
_PLAIN_FORM = re.compile(
    r"v?\d+(?:[.,:/x\-]\d+)*(?:st|nd|rd|th|am|pm|[kmgt]?i?b|ms|s|h|px|k|m|min|x|%)?|"
    r"[\w.\-]+\.(?:[a-z]{2,4})|(?:19|20)\d\d-\d\d\S*|[a-z]{2,5}-\d{1,5}|[a-z]+(?:[-/][a-z]+){0,1}|"
    r"[a-z]+-?\d{1,2}|\S*://\S*|\S*@\S*\.\S*|[a-z]+\(\)|<.*|\{.*|\[.*",
    re.IGNORECASE,
)


def made_up(value: str) -> bool:
    """Whether a word has a password's form: letters with digits or signs, or three in a row."""
    value = value.rstrip(".,;:)\"'")
    if len(value) < 5 or PLACEHOLDER_VALUE.match(value):
        return False
    letters = sum(map(str.isalpha, value))
    digits = sum(map(str.isdigit, value))
    if _SIGN.search(value.rstrip("!?")) and letters >= 3 and "@" not in value[:1]:
        return digits > 0 or value[:1].isupper() or value[-1] in "!#$%&*"
    if _PLAIN_FORM.fullmatch(value):
        return False
    head = re.match(r"([A-Za-z]+)\d+$", value)
    if head is not None and words().kind(head[1].lower()) & THING:
        return False  # Chrome129
    if letters >= 3 and digits >= 1 and re.search(r"[A-Za-z]\d|\d[A-Za-z]", value):
        return not re.fullmatch(r"[A-Za-z]+\d", value) or len(value) > 6
    if value[-1] in "!?#$" and digits and letters >= 3:
        return True
    return re.fullmatch(r"[a-z]{3,12}(?:[-_.][a-z]{3,12}){2,5}", value) is not None


_OPENS = (
    r"(?:(?:opens?|unlocks?|decrypts?|unzips?|extracts?|logs?[ ]in|signs?[ ]in|sign|log|get[ ]in|"
    r"gets[ ]in|"
    r"protected|encrypted|secured|locked|works|worked|opened|unlocked|logged[ ]in|signed[ ]in|"
    r"connects?|connected|authenticates?|joins?)[ ](?:only[ ]|just[ ]|fine[ ])?(?:with|using|by|"
    r"via)|"
    r"(?:set|change|changed|switch|switched|reset|resets|put|revert|reverts|roll|rotate|rotated|"
    r"restore|turn|turned)(?:[ ](?:it|them|mine|that|hers|his|this))?(?:[ ]back)?[ ](?:to|into))"
    r"(?:[ ](?:the[ ])?(?:password|code|pin|passphrase|word))?"
)


def _is_told(match: re.Match[str], scan: Scan) -> bool:
    return made_up(match["x"]) and not documented(scan, match.start("x"), match.end("x"))


_LOCK = re.compile(
    r"\b(?:doors?|gates?|alarms?|key ?pads?|panels?|safes?|locks?|lock ?box|till|pin|entrance|"
    r"garage|"
    r"shutter|barrier|locker|cabinet|vault|elevator|lift|padlock)\b[^.!?\n]{0,40}$"
)
_CODES_NEAR = re.compile(
    r"\b(?:sms|codes?|otp|2fa|mfa|authenticator|verification|text message|one-time|pin|passcode|"
    r"log(?:ging)? in|sign(?:ing)? in|two-factor|phone app|the app|somebody on the phone|on the "
    r"phone)\b"
)
_CODE = r"(?P<x>\d{3}[ \-]\d{3}|\d{4}[ \-]\d{4}|\d{4,8}|(?-i:[A-Z0-9]{6,8}))"
_CODE_END = r"(?![\w%]|[.,:/\-]\d)"


def _is_handed_code(match: re.Match[str], scan: Scan) -> bool:
    """Whether a message or a person gave a few digits that let somebody in."""
    value = match["x"]
    if documented(scan, match.start("x"), match.end("x")):
        return False
    if re.fullmatch(r"(?:19|20)\d\d", value) or UNIT_AFTER.match(scan.after(match.end("x"))):
        return False
    if value.isalpha() and words().kind(value.lower()) & (COMMON | THING):
        return False
    near = scan.before(match.start("x"), 130) + scan.after(match.end("x"), 60)
    return _CODES_NEAR.search(near) is not None


_ASKED = (
    r"(?:first[ ]pet(?:'s[ ]name)?|(?:pet|dog|cat|horse|teacher|school|street)'?s?[ ]name|"
    r"mother'?s[ ]maiden[ ]name|maiden[ ]name|first[ ](?:school|car|teacher|job|concert|street|"
    r"employer|phone)|"
    r"favou?rite[ ](?:teacher|colou?r|food|team|film|movie|book|band|song|place|dish|animal|"
    r"author|singer)|"
    r"(?:city|town|place|village)[ ](?:of[ ]birth|i[ ]was[ ]born(?:[ ]in)?|where[ ]i[ ]was[ ]born)|"
    r"(?:street|town|house)[ ]i[ ]grew[ ]up[ ](?:on|in)|childhood[ ](?:nickname|friend|hero|home|"
    r"street)|"
    r"(?:security|secret|recovery|memorable)[ ](?:question(?:'s)?[ ])?(?:answer|word)s?|"
    r"answer[ ]to[ ](?:my|the|your|our)[ ](?:security[ ]|secret[ ]|recovery[ ])?question)"
)
_NO_ANSWER = word_set(
    "not never required requested missing wrong incorrect asked rejected refused accepted empty "
    "mandatory optional no yes changed lost forgotten unknown correct right invalid shown hidden "
    "used saved stored case too still always what which where also case-sensitive being set there "
    "ignored blank gone deleted removed"
)


def _is_answer(match: re.Match[str], scan: Scan) -> bool:
    parts = match["x"].lower().split()
    if not parts or parts[0] in _NO_ANSWER or len(parts) > 5:
        return False
    if len(parts) > 1 and parts[0] in {"a", "an", "in", "on", "at", "by", "so", "that"}:
        return False
    return not documented(scan, match.start("x"), match.end("x"))


_CODE_LIST = re.compile(
    r"\b(?:recovery|backup|back-up|scratch|emergency|one-time|2fa|mfa|bypass|security)[ "
    r"](?:codes?|keys?)\b"
    r"(?P<between>[^.!?]{0,110})$"
)


def _is_listed_code(match: re.Match[str], scan: Scan) -> bool:
    """Whether a code stands in a row of recovery codes."""
    value = match["x"]
    if not any(map(str.isdigit, value)) or documented(scan, match.start("x"), match.end("x")):
        return False
    found = _CODE_LIST.search(scan.before(match.start("x"), 140))
    if found is None:
        return False
    between = found["between"]
    wordy = re.findall(r"(?<![\w-])[a-z]{2,}(?![\w-])", between)
    digits = sum(map(str.isdigit, value))
    return (
        len(wordy) <= (4 if digits >= 4 else 2) and re.search(r"[,;:\n(/ ]$", between) is not None
    )


def _is_random(match: re.Match[str], scan: Scan) -> bool:
    """Whether 16 to 23 letters and digits without order are a key."""
    value = match["x"]
    upper, lower = sum(map(str.isupper, value)), sum(map(str.islower, value))
    digits = sum(map(str.isdigit, value))
    if min(upper, lower) < 3 or digits < 2:
        return False
    turns = len(re.findall(r"[a-z][A-Z0-9]|[A-Z][0-9]|[0-9][A-Za-z]", value))
    inside = re.findall(r"[A-Z]?[a-z]{4,}", value)
    if turns < len(value) // 3 or sum(map(len, inside)) > len(value) * 0.4:
        return False
    before = scan.before(match.start("x"), 24)
    if re.search(r"(?:commit|sha|hash|checksum|digest|etag|video|integrity|/)[ :=\"'(]*$", before):
        return False
    return entropy(value) >= 3.3


_NUMERAL = r"(?:zero|oh|nought|one|two|three|four|five|six|seven|eight|nine|double|triple)"

PROSE_SECRET = [
    Rule(
        "SECRET",
        # "the PDF opens with X", "set it back to X"
        regex(r"\b" + _OPENS + r"[ :]{1,2}[\"'`(]?(?P<x>[^\s\"'<>`]{5,60})"),
        cues=word_set(
            "open opens unlock unlocks decrypt decrypts unzip unzips extract extracts log logs "
            "sign "
            "signs get gets protected encrypted secured locked works worked opened unlocked logged "
            "signed connect connects connected authenticate authenticates join joins set change "
            "changed switch switched reset resets put revert reverts roll rotate rotated restore "
            "turn turned"
        ),
        accept=_is_told,
        score=0.8,
    ),
    Rule(
        "SECRET",
        # "network guest, pass Juniper&Mango99", "user x pw kettle-mango-harbor"
        regex(
            r"(?<![\w.\-])(?:pass|pw|pwd|passwd|psw|p/w|pass ?word|passwort|passcode|kennwort|"
            r"senha|"
            r"contrase\u00f1a|clave|mdp|mot de passe|wachtwoord|has\u0142o|l\u00f6senord|creds?|"
            r"credentials)"
            r"(?:[ ](?:is|was|as|to|of|still|now))?[ ]?[:=,]?[ ][\"'`(]?(?P<x>[^\s\"'<>`]{5,60})"
        ),
        cues=word_set(
            "pass pw pwd passwd psw w password passwort passcode kennwort senha contrasena clave "
            "mdp "
            "mot wachtwoord haslo losenord cred creds credentials word"
        ),
        accept=_is_told,
        score=0.81,
    ),
    Rule(
        "SECRET",
        # "the login is ana@example.org / X"
        regex(
            r"[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{2,24}){1,3}[ ]?(?:/|\||:|,? (?:and|with|pw|"
            r"pass))[ ]"
            r"(?P<x>[^\s/|<>\"']{5,40})"
        ),
        gate=("@",),
        accept=lambda match, scan: (
            made_up(match["x"]) and not documented(scan, match.start("x"), match.end("x"))
        ),
        score=0.8,
    ),
    Rule(
        "SECRET",
        # "works with dana / Xk9mm22": a name and what opens it
        regex(
            r"\b(?:works?|worked|log(?:ged|s)?[ ]in|sign(?:ed|s)?[ ]in|login|credentials|creds|"
            r"account|access|user|guest|admin)(?:[ ](?:is|are|with|as|for|using|details|via))*[ "
            r"]?:?[ ]"
            r"[\w.+\-]{2,40}[ ]?(?:/|\|)[ ]?(?P<x>[^\s/|<>\"']{5,40})"
        ),
        gate=("/", "|"),
        cues=word_set(
            "work works worked log logged logs sign signed signs login credentials creds account "
            "access user guest admin"
        ),
        accept=_is_told,
        score=0.79,
    ),
    Rule(
        "SECRET",
        # "the door panel resets to 3572"
        regex(
            r"\b(?:is|was|to|with|now|still|code|press|type|enter|dial|on|says|shows)[ "
            r":]{1,2}[\"'(]?"
            r"(?P<x>\d{4,8}#?|\d{3}-\d{3})" + _CODE_END
        ),
        cues=word_set(
            "door doors gate gates alarm alarms keypad keypads pad panel panels safe safes lock "
            "locks "
            "lockbox till pin entrance garage shutter barrier locker cabinet vault elevator lift "
            "padlock box"
        ),
        digits=4,
        accept=lambda match, scan: (
            _LOCK.search(scan.before(match.start("x"), 60)) is not None
            and re.fullmatch(r"(?:19|20)\d\d", match["x"]) is None
            and UNIT_AFTER.match(scan.after(match.end("x"))) is None
            and re.match(r" [a-z]{3,}s\b", scan.after(match.end("x"))) is None
            and re.search(
                r"\b(?:error|version|model|port|firmware)\b", scan.before(match.start("x"), 60)
            )
            is None
            and not documented(scan, match.start("x"), match.end("x"))
        ),
        score=0.79,
    ),
    Rule(
        "SECRET",
        # "your SMS says 956718, the app says YXMH31"
        regex(
            r"\b(?:sms|text|texts|message|app|phone|authenticator|screen|mail|e-?mail|it|that|i|"
            r"he|she|they|you|"
            r"bot|caller|device|token)[ ](?:has |just |then |had )?(?:says?|said|shows?|showed|"
            r"gives?|gave|sends?|sent|reads?|"
            r"displays?|displayed|got|received|receive|get|typed|entered|used|told)(?:[ ](?:me|us|"
            r"him|her|out|over))?(?:[ ](?:was|is))?[ :]{1,2}[\"'(]?" + _CODE + _CODE_END
        ),
        cues=word_set(
            "sms code codes otp fa mfa authenticator verification message time pin passcode log "
            "logging "
            "sign signing factor app phone"
        ),
        digits=1,
        accept=_is_handed_code,
        score=0.79,
    ),
    Rule(
        "SECRET",
        # "I read 127 161 out to somebody"
        regex(
            r"\b(?:read|gave|told|dictated|spelled|spelt|shared|handed|typed|passed|sent|"
            r"forwarded)[ ]"
            r"(?:(?:him|her|them|the)[ ])?[\"'(]?"
            + _CODE
            + r"[\"')]?[ ](?:out|to[ ](?:the|a|some|him|her|them|someone|somebody|your)|over[ "
            r"]the|aloud|back|on[ ]the[ ]phone)\b"
        ),
        digits=1,
        cues=word_set("out to over aloud back phone"),
        accept=lambda match, scan: (
            not (match["x"].isalpha() and words().kind(match["x"].lower()) & (COMMON | THING))
            and not documented(scan, match.start("x"), match.end("x"))
            and (
                not match["x"].isdigit()
                or " to" not in match[0][-8:].lower()
                or _CODES_NEAR.search(scan.before(match.start("x"), 130)) is not None
            )
        ),
        score=0.79,
    ),
    Rule(
        "SECRET",
        regex(
            r"\b(?:read|gave|told|dictated|spelled|spelt|handed)[ ](?:(?:him|her|them|the)[ "
            r"])?[\"'(]?"
            r"(?P<x>(?-i:[A-Z]{6,8}))[\"')]?[ ](?:out|over|aloud|back)\b"
        ),
        cues=word_set("out over aloud back"),
        accept=lambda match, scan: not words().kind(match["x"].lower()) & (COMMON | THING),
        score=0.79,
    ),
    Rule(
        "SECRET",
        # "first pet was the blue caravan", 'security question answer is "Biscuit"'
        regex(
            r"\b"
            + _ASKED
            + r"(?:,?[ ](?:answer|it)\b)?(?:[ ](?:is|was|should[ ]be|would[ ]be)|[ ]?[:=]){0,2}[ ]"
            r"(?P<q>[\"'])(?P<x>[^\"\n]{2,60}?)(?P=q)(?!\w)"
        ),
        cues=word_set(
            "pet name school car teacher job street city town place village childhood answer "
            "answers word words question house concert employer phone favourite favorite"
        ),
        accept=_is_answer,
        score=0.86,
    ),
    Rule(
        "SECRET",
        regex(
            r"\b" + _ASKED + r"(?:[ ](?:is|was|should[ ]be|would[ ]be)|[ ]?[:=]){1,2}[ ]"
            r"(?P<x>[^\W_][^\"\n,.;:!?()<>]{1,40}?)(?=[,.;:!?()\n]|$|[ ](?:but|and|which|or|i|in|"
            r"so|because|if|too|also|as|"
            r"obviously|"
            r"that|for|since|the[ ]form|please|thanks|can|why|is|was|not)\b)"
        ),
        cues=word_set(
            "pet name school car teacher job street city town place village childhood answer "
            "answers word words question house concert employer phone favourite favorite"
        ),
        accept=_is_answer,
        score=0.84,
    ),
    Rule(
        "SECRET",
        regex(
            r"\bsecurity[ ]question[^\n]{0,70}?[ ]answer(?:[ ](?:is|was)|:)?[ "
            r"](?P<q>[\"'])(?P<x>[^\"\n]{2,40})(?P=q)"
        ),
        gate=("security question",),
        accept=_is_answer,
        score=0.86,
    ),
    Rule(
        "SECRET",
        regex(
            r"(?<![\w\-./])(?P<x>\d{4}[ ]\d{4}|\d{3}[ ]\d{3}|"
            r"[a-z0-9]{4,6}-[a-z0-9]{4,6}(?:-[a-z0-9]{4,6}){0,3}|"
            r"[a-z0-9]{8,12})(?![\w\-/])"
        ),
        gate=("code", "key"),
        cues=word_set("recovery backup scratch emergency one fa mfa bypass security"),
        digits=2,
        accept=_is_listed_code,
        score=0.86,
    ),
    Rule(
        "SECRET",
        regex(r"(?<![\w\-/+.@#=])(?P<x>[A-Za-z0-9]{16,23})(?![\w\-@/=])", flags=0),
        digits=2,
        needs=frozenset({"value"}),
        accept=_is_random,
        score=0.8,
    ),
    Rule(
        "SECRET",
        # PASETO, Asana, Telegram, Discord, Mailchimp, Databricks
        regex(
            r"(?<![\w/])(?P<x>v[1-4]\.(?:local|public)\.[\w\-]{20,800}(?:\.[\w\-]{2,200})?|"
            r"\d/\d{10,20}(?:/\d{10,20})?:[0-9a-f]{32}|\d{8,10}:AA[\w\-]{30,40}|"
            r"[MNO][\w\-]{23,27}\.[\w\-]{6}\.[\w\-]{27,42}|[0-9a-f]{32}-us\d{1,2}|dapi[0-9a-f]{32}|"
            r"AGE-SECRET-KEY-1[A-Z0-9]{50,64}|AccountKey=[\w+/]{40,100}={0,2})(?![\w\-])",
            flags=0,
        ),
        digits=1,
        accept=lambda match, scan: not documented(scan, match.start("x"), match.end("x")),
        score=0.97,
    ),
    Rule(
        "SECRET",
        # "pin is four two seven one"
        regex(r"\b(?P<x>(?:" + _NUMERAL + r"(?:,[ ]|[ ]?-[ ]?|[ ])){3,11}" + _NUMERAL + r")\b"),
        cues=word_set("double triple four five six seven eight nine zero one two three"),
        accept=lambda match, scan: (
            re.search(
                r"\b(?:pins?|codes?|passcodes?|passwords?|otp|combination|digits|number)\b",
                scan.before(match.start("x"), 60),
            )
            is not None
        ),
        score=0.85,
    ),
    Rule(
        "SECRET",
        # 'token name "ci", ends in ...x9Qf'
        regex(
            r"\b(?:tokens?|keys?|secrets?|passwords?)\b[^.!?\n]{0,50}?[ ,](?:ending|ends|starting|"
            r"starts|"
            r"beginning|begins)(?:[ ](?:in|with|on))[ "
            r"]?[\"']?(?P<x>[.*\u2026]{1,4}[A-Za-z0-9_\-]{3,16})"
        ),
        cues=word_set("ending ends starting starts beginning begins"),
        gate=("token", "key", "secret", "password"),
        score=0.84,
    ),
]

# --- workspaces ----------------------------------------------------------------------------------

_SLUG = r"(?P<x>[a-z][a-z0-9]{1,30}(?:[\-_][a-z0-9]{1,24}){1,4})(?![\w@/(=]|[.:\-]\w)"
_WORD_SLUG = r"(?P<x>[a-z][a-z0-9]{1,30}(?:[\-_][a-z0-9]{1,24}){0,4})(?![\w@/(=]|[.:\-]\w)"
_NO_SLUG = word_set(
    "read-only sign-in log-in sign-up log-out sign-out set-up e-mail drop-down pop-up add-on "
    "plug-in "
    "to-do follow-up start-up back-up end-to-end real-time part-time full-time one-time two-factor "
    "built-in opt-in opt-out check-in check-out pre-production non-production third-party "
    "single-sign-on self-hosted self-service a-z one-to-one year-end month-end en-us en-gb de-de "
    "fr-fr pt-br zh-cn dark-mode light-mode log-file us-east us-west eu-west eu-central "
    "node-modules x-ray e-commerce multi-factor long-term short-term"
)


def _is_space(match: re.Match[str], scan: Scan) -> bool:
    """Whether words joined by hyphens are somebody's workspace and not a branch or a region."""
    value = match["x"]
    low = value.lower()
    if low in _NO_SLUG or documented(scan, match.start("x"), match.end("x")):
        return False
    if re.fullmatch(
        r"[a-z]{2}-[a-z]+-\d|[a-z]{1,3}-\d{1,4}|[\d\-_]+|v\d.*|utf-?\d+|\w+-\d{4}-\d\d.*", low
    ):
        return False
    parts = [part for part in re.split(r"[\-_]", low) if part]
    kind = words().kind
    if len(parts) == 1:
        return not kind(low) and len(low) > 5
    odd = any(len(part) > 2 and not kind(part) & COMMON for part in parts)
    plain = all(kind(part) & (COMMON | THING) for part in parts)
    return odd or not plain or _SPACES_NAMED.search(scan.before(match.start("x"), 60)) is not None


_SPACES_NAMED = re.compile(
    r"\b(?:workspaces?|work ?space|worspace|tenants?|orgs?|organi[sz]ations?|sub-?domains?|"
    r"instances?|"
    r"slugs?)\b"
)
_WORKING = re.compile(
    r"\b(?:branch|merge request|pull request|commit|rebase|git|region|zone|font|theme|locale|"
    r"language|plugin|package|npm|pip|docker|image|column|field|key|header|class|css|tag|flag|"
    r"format|currency|mode|layout|index|table|queue|topic|bucket|node|pod|cluster|driver|"
    r"attribute|variable|version|endpoint|role|scope|event)\b"
)


def _is_moved(match: re.Match[str], scan: Scan) -> bool:
    around = scan.before(match.start("x"), 70) + scan.after(match.end("x"), 40)
    return _WORKING.search(around) is None and _is_space(match, scan)


_MEMBER = (
    r"(?:guest|owner|co-?owner|admin|super ?admin|administrator|member|editor|viewer|user|users|"
    r"people|"
    r"billing manager|manager|logged|log|signed|sign|happened|everyone|everybody|nobody|boards?|"
    r"projects?|seats?|automations?|invited|yesterday|today|dashboards?|work|working|only)"
)
_PAIR = (
    r"\b(?:rename[ds]?|renaming|merge[ds]?|merging|switch(?:ing|ed)?|move[ds]?|moving|migrat(?:e|"
    r"ed|ing)|"
    r"copy(?:ing)?|copied|transfer(?:red|ring)?|duplicat(?:e|ed)|clone[ds]?|toggl(?:e|ing)|"
    r"jump(?:ing)?|"
    r"compare[ds]?|sync(?:ed|ing)?|consolidat(?:e|ed|ing)|convert(?:ed)?|changed?|changing)"
)
_PAIR_CUES = word_set(
    "rename renamed renames renaming merge merged merges merging switch switching switched move "
    "moved "
    "moves moving migrate migrated migrating copy copying copied transfer transferred transferring "
    "duplicate duplicated clone cloned clones toggle toggling jump jumping compare compared "
    "compares "
    "sync synced syncing consolidate consolidated consolidating convert converted change changed "
    "changing"
)
_FIRST_SLUG = r"[\"']?[a-z][a-z0-9]{1,30}(?:[\-_][a-z0-9]{1,24}){0,4}[\"']?"
PROSE_WORKSPACE = [
    Rule(
        "WORKSPACE_URL",
        # "switching between X and Y", "rename the workspace from X", "merge X into Y"
        regex(
            _PAIR
            + r"(?:[ ](?:back|over|data|boards?|everything|all|users?|projects?|us|the|our|my|"
            r"your|this|old|"
            r"workspace|account|tenant|org|instance|team|site)){0,4}(?:[ ](?:between|from|"
            r"form))?[ ][\"']?" + _SLUG + r"(?=[\"']?[ ](?:and|to|into|in|with|or|->|\u2192))",
            flags=0,
        ),
        gate=("-", "_"),
        cues=_PAIR_CUES,
        accept=_is_moved,
        score=0.72,
    ),
    Rule(
        "WORKSPACE_URL",
        regex(
            _PAIR
            + r"[^.!?\n]{0,40}?[ ](?:from|form|between)?[ ]?"
            + _FIRST_SLUG
            + r"[ ](?:and|to|into|with|or|->|\u2192)[ ][\"']?"
            + _SLUG,
            flags=0,
        ),
        gate=("-", "_"),
        cues=_PAIR_CUES,
        accept=_is_moved,
        score=0.72,
    ),
    Rule(
        "WORKSPACE_URL",
        # one of the two may be a plain word: "merge cape-hq into fjordkraftmaritime"
        regex(
            r"\bmerg(?:e|ed|ing)[ ][\"']?[a-z][a-z0-9]{1,30}(?:[\-_][a-z0-9]{1,24}){1,4}[\"']?[ "
            r"](?:into|with)[ ][\"']?" + _WORD_SLUG,
            flags=0,
        ),
        gate=("merg",),
        accept=_is_moved,
        score=0.72,
    ),
    Rule(
        "WORKSPACE_URL",
        # "the webhook for X", "i am guest in X", "boards of X"
        regex(
            r"\b(?:(?:[Ww]eb ?)?[Hh]ooks?|[Ss]ubscription|[Ll]icen[cs]e|[Ii]ntegration|"
            r"[Aa]utomations?|[Bb]illing|"
            r"[Ii]nvoices?|[Aa]udit log|[Bb]ackups?|[Ee]xports?|[Ss]eats?|[Pp]lan|[Tt]rial|[Ss]so|"
            r"SSO|[Ss]aml|SAML|[Ss]cim|SCIM|"
            r"[Ll]ogs?|[Ss]ettings|[Qq]uota|[Ll]imits?|[Oo]wner(?:ship)?|[Aa]dmins?|[Uu]sers?|"
            r"[Mm]embers?|[Bb]oards?)[ ](?:for|of|in|on)[ ]"
            r"(?:our |the |my )?(?:workspace |tenant |org |instance )?[\"']?" + _SLUG,
            flags=0,
        ),
        gate=("-", "_"),
        accept=_is_moved,
        score=0.71,
    ),
    Rule(
        "WORKSPACE_URL",
        regex(
            r"\b"
            + _MEMBER
            + r"(?:[ ](?:of|in|on|into|to|at))[ ](?:the |our |my )?(?:workspace |tenant |org |"
            r"team )?[\"']?(?-i:" + _SLUG + r")"
        ),
        gate=("-", "_"),
        accept=_is_moved,
        score=0.71,
    ),
    Rule(
        "WORKSPACE_URL",
        # of a forge or a registry: "Build #4471 of fjordbyte/checkout-api"
        regex(
            r"\b(?:build|pipeline|job|repo(?:sitory)?|project|run|mirror|fork|clone|remote)s?(?:[ "
            r"]#?\d+)?[ ](?:of|for|in|on)?[ ]?"
            r"(?P<x>[a-z][a-z0-9\-]{3,38})/[a-z][\w.\-]{1,60}(?![\w/])",
        ),
        gate=("/",),
        accept=lambda match, scan: (
            not words().kind(match["x"].lower()) & (COMMON | THING)
            and not all(words().kind(p) & (COMMON | THING) for p in match["x"].lower().split("-"))
        ),
        score=0.7,
    ),
    Rule(
        "WORKSPACE_URL",
        # the answer to "can you send the workspace?"
        regex(r"(?<=: )" + _SLUG + r"(?=[ ]*(?:\n|\Z))", flags=0),
        gate=("workspace", "tenant", "subdomain", "slug"),
        accept=lambda match, scan: (
            re.search(r"\b(?:workspace|tenant|subdomain|slug)\b", scan.before(match.start(), 80))
            is not None
            and _is_space(match, scan)
        ),
        score=0.7,
    ),
]

# --- dates of birth -------------------------------------------------------------------------------

_AGED = re.compile(
    r"\b(?:age (?:check|gate|verification|limit|field)|verify (?:my|his|her|their|the) age|my age|"
    r"prove (?:it'?s|it is|that it'?s|i am|i'm|who i am)|identity check|identify (?:me|myself)|"
    r"verify me|"
    r"to verify|for verification|security check|confirm (?:my|his|her) identity|of age|a minor|"
    r"under ?age|old enough|his details|her details|my details|personal details|on my passport|on "
    r"my id|"
    r"kyc|senior discount|pension)\b[^\n]{0,70}$"
)
_HEADED = re.compile(
    r"(?:^|[;,|\t\"])[ ]*\"?(?:birth|dob|d\.o\.b\.?|born|birthday|birth[ _-]?date|date[ _-]of[ "
    r"_-]birth|"
    r"geburtsdatum|geb\.?|geburtstag|naissance|date[ _]de[ _]naissance|fecha[ _]de[ _]nacimiento|"
    r"nacimiento|"
    r"data[ _]di[ _]nascita|nascimento|geboortedatum|fodselsdato|urodzenia)\"?[ ]*(?=[;,|\t]|$)",
    re.MULTILINE,
)
_NOT_BIRTH = re.compile(
    r"\b(?:since|until|till|on|from|due|invoice|order(?:ed)?|paid|payment|sent|started|starts?|"
    r"ends?|expires?|"
    r"hired|joined|meeting|appointment|shift|booked|delivered|released?|version|updated?|"
    r"created)\W*$"
)
_BEFORE_DATE = re.compile(
    r"(?P<a>[^\W\d_]{2,20}(?:-[^\W\d_]+)?)(?:[ ][^\W\d_]\.)?[ "
    r"](?P<b>[^\W\d_]{2,24}(?:[-'][^\W\d_]+)?)(?:, | \(|,? - )$"
)


def _is_birth_date(match: re.Match[str], scan: Scan) -> bool:
    start, end = match.span("x")
    if documented(scan, start, end):
        return False
    before = scan.before(start, 110)
    if _NOT_BIRTH.search(before):
        return False
    if _AGED.search(before) is not None:
        return True
    name = _BEFORE_DATE.search(before)
    if name is not None and re.match(r"[,.;)\n]|[ ]*$| -", scan.after(end, 6)):
        kind = words().kind
        first, last = kind(name["a"]), kind(name["b"])
        if name["a"] in NOT_NAMES or name["b"] in NOT_NAMES:
            return False
        return bool(first & GIVEN) and bool(last & SURNAME or not last & (COMMON | THING))
    return False


PROSE_BIRTH = [
    Rule(
        "DATE_OF_BIRTH",
        regex(r"(?<![\w./\-])(?P<x>" + DATE + r")(?![\w]|[./\-:]\d)", flags=0),
        folded=True,
        digits=3,
        maybe=lambda scan: _ages(scan),
        accept=_is_birth_date,
        score=0.88,
    ),
    Rule(
        "DATE_OF_BIRTH",
        # a field of a row below "name;birth;group"
        regex(r"(?<=[;,|\t])[ ]?\"?(?P<x>" + DATE + r")\"?(?=[ ]?(?:[;,|\t\n]|\Z))", flags=0),
        folded=True,
        digits=3,
        needs=frozenset({"value"}),
        accept=lambda match, scan: _HEADED.search(scan.lower) is not None,
        score=0.88,
    ),
]
_AGE_CUES = word_set(
    "age verify prove identity identify verification check confirm minor underage details kyc old "
    "discount pension passport id"
)


def _ages(scan: Scan) -> bool:
    """Whether an age is spoken of, or two words and a comma stand before a number."""
    if not _AGE_CUES.isdisjoint(scan.vocabulary):
        return True
    return _NAME_AND_NUMBER.search(scan.lower) is not None


_NAME_AND_NUMBER = re.compile(
    r"[^\W\d_]{2} ?[^\W\d_]{2,24}(?:, | \(|,? - )(?:\d|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|"
    r"nov|dec)"
)
