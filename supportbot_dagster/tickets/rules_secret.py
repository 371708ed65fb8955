"""Rules for keys, tokens and passwords.

What lives here: known prefixes, random-looking strings, and values that a message calls a secret.
What does not: web addresses that carry a secret (:mod:`supportbot_dagster.tickets.rules_web`).
"""

from __future__ import annotations

import re

from supportbot_dagster.tickets.rule import (
    AUTH,
    AUTHS,
    PLACEHOLDER_VALUE,
    Rule,
    Scan,
    end_of,
    entropy,
    joined,
    regex,
    start_of,
    value_of,
)
from supportbot_dagster.tickets.rules_web import is_slug
from supportbot_dagster.tickets.words import word_set, words

_PREFIXED_KEY = (
    r"(?:(?:sk|pk|rk)_(?:live|test)_|tl_(?:(?:live|test|api|pat|key|sk)_)?|gh[pousr]_|github_pat_|"
    r"glpat-|gldt-|glrt-|xox[abeoprs]-|xapp-|(?:AKIA|ASIA|AGPA|AROA)(?=[A-Z0-9]{12})|AIza|ya29\.|"
    r"SG\.|npm_|pypi-|hf_|dop_v1_|sk-ant-|sk-proj-|sk-|lin_api_|lin_oauth_|whsec_|shpat_|shpss_|"
    r"rzp_live_|"
    r"figd_|ntn_|secret_|key-|pat-|EAAC|NRAK-|dckr_pat_|ATATT|atlasv1\.|vault:|hvs\.|r8_|gsk_|"
    r"AC(?=[0-9a-f]{32}))"
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


_NOT_A_SECRET = word_set(
    "not wrong incorrect expired being required too no never still the a an correct right fine "
    "always reset invalid rejected accepted ignored weak strong long short missing gone unknown "
    "lost changed same different empty blank saved stored hashed encrypted protected compromised "
    "leaked exposed public private secret optional mandatory case sensitive managed disabled "
    "enabled locked blocked unchanged old new set sent shown hidden visible valid broken working "
    "in on at for from to of with and or but so my our your their his her it its this that these "
    "those what where which how why when who there here now then also just only already probably "
    "definitely something anything nothing everything field box page reset link policy manager "
    "protected screen prompt login sign code was is are were be been has have had does do did cant "
    "can't won't doesn't isn't wasn't cannot you i we they he she me us them as if by up out off "
    "over read write admin none null true false revoked rotated regenerated deleted created "
    "generated unusable useless visible masked limited scoped not: ok okay good bad "
    "used copied shared unique asked requested accepted? denied refused like about under "
    "somewhere automatically permission permissions personal available safe secure"
)


def _is_password(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match).rstrip(".,;!?")
    if not value or PLACEHOLDER_VALUE.match(value):
        return False
    plain = value.lower().strip("'\"")
    if plain in _NOT_A_SECRET or plain in words().tools:
        return False
    if scan.text[match.start("x") - 1 : match.start("x")] in {'"', "'"}:
        return len(plain) >= 3
    if any(not char.isalpha() and char not in "-'" for char in value) and len(value) >= 3:
        return re.fullmatch(r"\d{1,3}", value) is None or "pin" in match[0].lower()
    if any(char.isupper() for char in value[1:]) and not value.isupper():
        return True
    ends = re.match(r"\s*(?:[.,;!?)\n]|$|and\b|but\b|if\b|for\b|-)", scan.after(end_of(match)))
    suffix = re.search(r"(?:ing|ed|able|ible|less|ful|ly|n't)$", plain)
    return ends is not None and suffix is None and plain not in words().common


_OPENING_CODE = re.compile(r"(?<!pass)(?<!pin)(?<!pin[ -])code")
"""A code that a machine hands out has digits; one that somebody made up may be a word."""


def _is_password_word(match: re.Match[str], scan: Scan) -> bool:
    """After a colon or an equals sign a plain word counts as well."""
    value = value_of(match).rstrip(".,;!?")
    plain = value.lower().strip("'\"")
    if not value or PLACEHOLDER_VALUE.match(value) or plain in _NOT_A_SECRET:
        return False
    label = match[0][: match.start("x") - match.start()].lower()
    if _OPENING_CODE.search(label) and not any(map(str.isdigit, value)):
        return False  # "recovery codes: click ..."
    return len(plain) >= 3 and not plain.startswith(("http", "<"))


_PASSWORD = (
    r"(?<![^\W\d_])(?:pass(?:word|wort|wd|code|phrase)s?|passwd|pwd|pw|pass(?=[ ]?[:=])|kennwort|"
    r"contrase\u00f1a|mot de passe|"
    r"senha|pin(?:[ -]?(?:code|number))?|otp|(?:verification|security|2fa|login|sign-?in|"
    + AUTH
    + r"|backup|recovery|one-time|access|door|gate) ?codes?)"
)
_PASSWORD_CUES = word_set(
    "pass password passwords passwort passworts passwd passwds passcode passcodes passphrase "
    "passphrases pwd pw kennwort contrasena passe senha pin pincode pinnumber otp code codes"
) | joined(
    # of "2fa", "sign-in" and "one-time" only the letters next to the code are in its word
    "verification security fa login signin in backup recovery time access door gate " + AUTHS,
    "code codes",
)
_SECRET_NAME = (
    r"(?:api[ _-]?(?:key|token|secret)|(?:access|auth|bearer|refresh|personal|session|id|bot|"
    r"webhook|signing|client|shared|deploy|private|secret|license|licence|scim|service)[ _-]?"
    r"(?:access[ _-]?)?(?:token|key|secret)|secret|token|credentials?)"
)

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
        regex(r"(?<!\w)AC[0-9a-f]{32}(?!\w)", flags=0),
        digits=1,
        needs=frozenset({"run32"}),
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
    Rule(
        "SECRET",
        regex(
            r"\b" + _SECRET_NAME + r"\b[^\S\n]*(?:(?:is|was|:|=|=>|->|-|are)[^\S\n]*){1,2}[\"'`(]?"
            r"(?P<x>[\w\-.=/+~!@#$%^&*]{6,500})"
        ),
        gate=("key", "token", "secret", "credential"),
        accept=lambda match, scan: (
            any(char.isdigit() for char in match["x"])
            and sum(char.isalnum() for char in match["x"]) >= 6
            and not PLACEHOLDER_VALUE.match(match["x"])
            and re.fullmatch(r"[A-Z]{2,5}-\d{1,5}[.,]?", match["x"]) is None
            and re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", match["x"]) is None
        ),
        score=0.88,
    ),
    Rule(
        "SECRET",
        regex(
            r"\b(?:serial|licen[cs]e|activation|product|recovery|backup|coupon|voucher|promo|"
            r"discount)[ -](?:key|code|number)s?(?:[ ](?:is|are|was)|[ ]?[:=#])?[ ]{1,2}"
            r"(?P<x>(?=[\w\-]{0,60}\d)[a-z0-9]{4,12}(?:-[a-z0-9]{3,12}){0,6})\b"
        ),
        gate=("key", "code", "number"),
        digits=True,
        score=0.86,
    ),
]

PASSWORD = [
    Rule(
        "SECRET",
        regex(_PASSWORD + r"(?:[ ](?:is|was)|[ ]?:)?[ ](?P<x>\d{3}[ -]\d{3})(?![\w-])"),
        cues=_PASSWORD_CUES,
        digits=True,
        score=0.87,
    ),
    Rule(
        "SECRET",
        regex(
            _PASSWORD
            + r"\b[^\S\n]*(?:(?:i|we)[ ](?:use|used|set|typed|tried)[ ]|(?:that[ ])?(?:is|was|"
            r"'s|ist|es|est|to|as|of)[ ])(?:(?:is|was|still|now|currently|just|set[ ]to|again)[ "
            r"]){0,3}[\"'(\[]?(?P<x>[^\s\"'<>]{3,80})"
        ),
        cues=_PASSWORD_CUES,
        accept=_is_password,
        score=0.87,
    ),
    Rule(
        "SECRET",
        regex(_PASSWORD + r"[ ]?(?:=|:|->|=>|-(?=[ ]))[ ]{0,3}[\"'`]?(?P<x>[^\s\"'`<>,;]{3,80})"),
        cues=_PASSWORD_CUES,
        accept=_is_password_word,
        score=0.88,
    ),
    Rule(
        "SECRET",
        regex(_PASSWORD + r"[ ]?(?:is|was|:|=|->)?[ ]{0,2}(?P<q>[\"'])(?P<x>[^\"'\n]{3,80})(?P=q)"),
        cues=_PASSWORD_CUES,
        accept=lambda match, scan: (
            match["x"].lower() not in _NOT_A_SECRET
            and not match["x"]
            .lower()
            .startswith(("forgot", "reset", "change", "wrong", "invalid", "incorrect"))
        ),
        score=0.87,
    ),
    Rule(
        "SECRET",
        regex(_PASSWORD + r"[ ](?P<x>(?=[^\s]{0,40}\d)[^\s\"'<>,;]{4,40})"),
        cues=_PASSWORD_CUES,
        digits=True,
        accept=lambda match, scan: (
            re.fullmatch(
                r"[(\[]?\d{1,3}[a-z]{0,5}[.,)\]]?|\d\S?[x%]|.*://.*|(?:[A-Z]{1,3}-)?\d{3}",
                match["x"],
            )
            is None
            and re.fullmatch(r"\d{1,2}[:/.\-]\d{1,2}.*|20\d\d|(?i:tl)-\d+\W?|#.*", match["x"])
            is None
        ),
        score=0.8,
    ),
    Rule(
        "SECRET",
        regex(
            r"\b(?:user(?:name)?|login|credentials|creds)[ ]?[:=]?[ ]?[\w.@+\-]{2,60}[ ]?/[ "
            r"]?(?P<x>[^\s/<>]{4,60})"
        ),
        gate=("user", "login", "cred"),
        accept=lambda match, scan: any(not char.isalpha() for char in match["x"].rstrip(".,")),
        score=0.8,
    ),
    Rule(
        "ID",
        regex(
            r"\b(?:user ?name|user(?=:)|login(?: name)?|user ?id|screen ?name)(?:[ ]is|[ "
            r"]?[:=])[ ]?[\"']?(?P<x>[\w.\-+]{3,40})"
        ),
        gate=("user", "login", "screen"),
        accept=lambda match, scan: (
            is_slug(match, scan)
            and match["x"].lower() not in _NOT_A_SECRET
            and re.fullmatch(r"[a-z]+", match["x"]) is None
        ),
        score=0.7,
    ),
]
