"""The patterns that find personal data by its form.

What lives here: one table of rules per recognizer, each a pattern with the test that tells it from
its look-alike. What does not: names of persons and companies, which need context
(:mod:`supportbot_dagster.tickets.names`), and the engine that runs the rules
(:mod:`supportbot_dagster.tickets.engine`).

All patterns run on the shadow of a text (:func:`supportbot_dagster.tickets.words.shadow`). A rule
redacts its group ``x``, or the whole match where it has none. Repetitions are bounded, so that a
long text costs time in proportion to its length.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import TOOLS, words


@dataclass(frozen=True)
class Scan:
    """One text on its way through the rules.

    Args:
        text: the shadow of the text.
        lower: the folded text; same length as ``text``.
        vendor: what may stay.
    """

    text: str
    lower: str
    vendor: Vendor
    has_digit: bool
    known_names: frozenset[str] = frozenset()

    def before(self, position: int, length: int = 40) -> str:
        """The folded characters just before ``position``, up to ``length``."""
        return self.lower[max(0, position - length) : position]

    def after(self, position: int, length: int = 20) -> str:
        """The folded characters from ``position`` on, up to ``length``."""
        return self.lower[position : position + length]


Accept = Callable[["re.Match[str]", Scan], bool]


def _always(match: re.Match[str], scan: Scan) -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    """One pattern.

    Args:
        entity: the type of what is found; its placeholder is ``<entity>``.
        pattern: compiled pattern; group ``x`` is what is redacted, else the whole match.
        gate: the pattern is tried only if one of these is in the folded text; empty for always.
        digits: the pattern is tried only if the text holds a digit.
        accept: the test that a match must pass.
        score: decides between overlapping finds, 0 to 1.
    """

    entity: str
    pattern: re.Pattern[str]
    gate: tuple[str, ...] = ()
    digits: bool = False
    accept: Accept = field(default=_always)
    score: float = 0.8

    def spans(self, scan: Scan) -> list[tuple[int, int]]:
        """Where the rule applies in ``scan``."""
        if self.digits and not scan.has_digit:
            return []
        if self.gate and not any(part in scan.lower for part in self.gate):
            return []
        group = "x" if "x" in self.pattern.groupindex else 0
        return [
            match.span(group)
            for match in self.pattern.finditer(scan.text)
            if match.end(group) > match.start(group) and self.accept(match, scan)
        ]


def _r(pattern: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    return re.compile(pattern, flags | re.MULTILINE)


def _value(match: re.Match[str]) -> str:
    return match["x"] if "x" in match.re.groupindex else match[0]


def _start(match: re.Match[str]) -> int:
    return match.start("x") if "x" in match.re.groupindex else match.start()


def _end(match: re.Match[str]) -> int:
    return match.end("x") if "x" in match.re.groupindex else match.end()


# --- e-mail -----------------------------------------------------------------------------------

_TLD = (
    r"(?:com|org|net|io|co|dev|app|ai|example|test|invalid|edu|gov|info|biz|me|us|uk|de|fr|es|it|nl|"
    r"be|at|ch|se|no|dk|fi|pl|pt|jp|cn|in|br|ca|au|nz|ie|eu|mx|ar|za|ng|ke|kr|sg|hk|cz|gr|tr|ru|"
    r"tech|cloud|online|store|shop|xyz|agency|studio|design|health|finance|group|team|works)"
)


def _foreign_mail(match: re.Match[str], scan: Scan) -> bool:
    address = re.sub(r"\s", "", _value(match)).lower()
    if address in scan.vendor.emails or address.startswith("git@"):
        return False
    # user@host in a connection string or URL belongs to the secret rule, not to a mailbox
    return True


_SPOKEN_AT = r"(?:\(at\)|\[at\]|\{at\}|<at>|\bat\b|@)"
_SPOKEN_DOT = r"(?:\(dot\)|\[dot\]|\{dot\}|<dot>|\bdot\b|\bpunkt\b|\.)"

EMAIL = [
    Rule(
        "EMAIL",
        _r(
            r"(?<![\w.+%-])(?:mailto:)?(?P<x>[\w.+%'\-]{1,64}@(?:[\w\-]{1,63}\.){1,5}[^\W\d_]{2,24})"
            r"(?![\w@])"
        ),
        gate=("@",),
        accept=_foreign_mail,
        score=0.95,
    ),
    Rule(
        "EMAIL",
        _r(
            r"(?<![\w.])(?P<x>[a-z][\w+\-]{0,40}(?:[ ]?(?:\.|\bdot\b|\(dot\)|\[dot\]|\bpunkt\b|"
            r"\bunderscore\b)[ ]?[\w\-]{1,30}){0,3}[ ]?" + _SPOKEN_AT + r"[ ]?[\w\-]{2,40}"
            r"(?:[ ]?"
            + _SPOKEN_DOT
            + r"[ ]?[\w\-]{2,30}){0,2}[ ]?(?:\(dot\)|\[dot\]|\{dot\}|<dot>|"
            r"\bdot\b|\bpunkt\b)[ ]?" + _TLD + r")\b"
        ),
        gate=(" dot ", "(dot)", "[dot]", "{dot}", "<dot>", " punkt "),
        score=0.93,
    ),
    Rule(
        "EMAIL",
        _r(
            r"(?<![\w.])(?P<x>[a-z][\w.+\-]{0,40}[ ]?(?:\(at\)|\[at\]|\{at\}|<at>|[ ]@[ ]|[ ]@|@[ ])"
            r"[ ]?(?:[\w\-]{2,40}[ ]?\.[ ]?){1,3}" + _TLD + r")\b"
        ),
        gate=("(at)", "[at]", "{at}", "<at>", " @", "@ "),
        score=0.93,
    ),
    Rule(
        "EMAIL",
        _r(
            r"(?:e-?mail|mail|reach me|write (?:to )?me|contact)[^\n@]{0,20}?\s(?P<x>[a-z][\w.+\-]{1,40}"
            r" at [a-z][\w\-]{1,40}\." + _TLD + r")\b"
        ),
        gate=(" at ",),
        score=0.9,
    ),
]


# --- web addresses, workspaces -----------------------------------------------------------------

_FEATURE_PATHS = frozenset(
    "new login signin sign-in signup sign-up logout settings preferences join invite oauth api auth "
    "download downloads help import inbox home search your-workspace your-company yourworkspace "
    "yourcompany workspace-url workspace workspace-name my-workspace myworkspace team yourteam "
    "your-team slug url name example acme-example mobile desktop status pricing docs".split()
)
_PUBLIC_SUBDOMAINS = frozenset(
    "www docs doc help support status app api security community changelog blog cdn auth login "
    "static assets go hooks webhooks mail dev developers developer legal trust academy web "
    "your-workspace yourworkspace workspace subdomain yourcompany your-company".split()
)
_PUBLIC_HOSTS = frozenset(
    "slack.com github.com gitlab.com bitbucket.org atlassian.com atlassian.net figma.com miro.com "
    "loom.com google.com microsoft.com apple.com okta.com youtube.com asana.com trello.com "
    "monday.com zapier.com notion.so linear.app zoom.us dropbox.com stripe.com cloudflare.com "
    "mozilla.org w3.org ietf.org wikipedia.org stackoverflow.com npmjs.com pypi.org python.org "
    "nodejs.org graphql.org json.org draw.io diagrams.net twitter.com x.com linkedin.com "
    "discord.com gmail.com outlook.com icloud.com yahoo.com hotmail.com live.com googleapis.com "
    "gstatic.com amazonaws.com salesforce.com hubspot.com zendesk.com intercom.com airtable.com "
    "clickup.com shortcut.com jetbrains.com postman.com docker.com kubernetes.io letsencrypt.org "
    "openai.com".split()
)
_PLACEHOLDER_HOSTS = frozenset(
    "example.com example.org example.net localhost your-domain.com yourdomain.com domain.com "
    "yourcompany.com your-company.com company.com mycompany.com yourserver.com".split()
)
_NAMES_WITH_A_DOT = frozenset(
    "node.js next.js vue.js react.js nuxt.js express.js three.js d3.js discord.js asp.net vb.net "
    "ado.net socket.io draw.io booking.com monday.com make.com cal.com fly.io notion.so zoom.us "
    "readme.io visual.studio e.g.it i.e.it".split()
)
_SECRET_QUERY = re.compile(
    r"[?&#](?:[\w\-]*(?:token|secret|signature|sig|apikey|api_key|api-key|access_key|passw\w*|pwd|"
    r"hmac|jwt|auth|credential|policy|otp|magic|session\w*|sid|invite|expires|key|code|hash))="
    r"(?P<v>[^&#\s]{6,})",
    re.IGNORECASE,
)
_SECRET_HOOK = re.compile(
    r"hooks\.slack\.com/(?:services|workflows|triggers)/\w|discord(?:app)?\.com/api/webhooks/\d|"
    r"webhook\.office\.com/webhookb2/|hooks\.zapier\.com/hooks/|hook[\w.]*\.make\.com/\w|"
    r"/(?:incoming-?)?(?:web)?hooks?/[\w\-/]{16,}|api\.telegram\.org/bot\d|"
    r"[?&](?:sig|token|key|secret)=\w",
    re.IGNORECASE,
)
_URL_END = ".,;:!?)]}>\"'*_"
_PLACEHOLDER_VALUE = re.compile(
    r"^(?:<.*>?|\{.*\}?|\[.*\]?|\$.*|%.*|x{3,}|\*{3,}|\.{2,}|your[\w\-]*|my[_-]\w+|\w*_?here|"
    r"token|secret|key|value|example|redacted|abc|foo|bar)$",
    re.IGNORECASE,
)


def _host_and_path(url: str) -> tuple[str, str]:
    rest = re.sub(r"^[a-z][a-z+.\-]{1,12}://", "", url, flags=re.IGNORECASE)
    rest = rest.split("@", 1)[-1] if "@" in rest.split("/", 1)[0] else rest
    cut = re.search(r"[/?#]", rest)
    host, path = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    return host.split(":")[0].lower().removeprefix("www."), path


def _carries_secret(url: str) -> bool:
    if _SECRET_HOOK.search(url):
        return True
    return any(not _PLACEHOLDER_VALUE.match(m["v"]) for m in _SECRET_QUERY.finditer(url))


def _kind_of_url(url: str, scan: Scan) -> str:
    """What a web address is: ``secret``, ``signed``, ``workspace``, ``foreign`` or ``public``."""
    host, path = _host_and_path(url.rstrip(_URL_END))
    if re.search(r"://[^/\s@:]{1,60}:[^/\s@]{1,100}@", url):
        return "public" if _PLACEHOLDER_VALUE.match(url.split(":")[2].split("@")[0]) else "secret"
    bare = host.removeprefix("www.")
    placeholder = bare in _PLACEHOLDER_HOSTS or host.startswith(("127.", "0.0.0.0", "[::1"))
    if _carries_secret(url) and not placeholder:
        return "secret" if _SECRET_HOOK.search(url) else "signed"
    if scan.vendor.owns_host(host):
        return _kind_of_vendor_url(host, path, scan.vendor)
    if placeholder or "<" in host or "{" in host:
        return "public"
    registrable = ".".join(host.split(".")[-2:])
    if registrable in _PUBLIC_HOSTS:
        plain = not path.strip("/?#") or host.split(".")[0] in _PUBLIC_SUBDOMAINS - {"app", "dev"}
        tenant = host != registrable and host.split(".")[0] not in _PUBLIC_SUBDOMAINS
        tenant = tenant and registrable in {"atlassian.net", "okta.com", "slack.com", "zendesk.com"}
        return "public" if plain and not tenant else "foreign"
    return "foreign"


def _kind_of_vendor_url(host: str, path: str, vendor: Vendor) -> str:
    domain = next(d for d in vendor.domains if host == d or host.endswith(f".{d}"))
    labels = host[: -len(domain)].rstrip(".").split(".") if host != domain else []
    if any(label not in _PUBLIC_SUBDOMAINS for label in labels):
        return "workspace"
    if "app" not in labels:
        return "public"
    segments = [part for part in re.split(r"[/?#]", path.partition("?")[0]) if part]
    if not segments:
        return "public"
    first = segments[0]
    if first.startswith(("<", "{", "[", ":", "...", "%", "\u2026")):
        return "public"
    if first.lower() in _FEATURE_PATHS:
        shared = first.lower() in {"join", "invite", "auth", "oauth"} and len(segments) > 1
        return "workspace" if shared else "public"
    return "workspace"


def _url_is(*kinds: str) -> Accept:
    def accept(match: re.Match[str], scan: Scan) -> bool:
        return _kind_of_url(_value(match), scan) in kinds

    return accept


def _bare_is(*kinds: str) -> Accept:
    def accept(match: re.Match[str], scan: Scan) -> bool:
        value = _value(match)
        host = value.split("/")[0].lower()
        if host in _NAMES_WITH_A_DOT or scan.text[match.start() - 1 : match.start()] == "@":
            return False
        # "done.It", "page.me": a sentence without its space, not a host
        first, _, last = host.rpartition(".")
        if "/" not in value and (value.rpartition(".")[2] != last):
            return False
        known = words().common
        if (
            "/" not in value
            and first in known
            and last
            in {
                "it",
                "in",
                "me",
                "us",
                "no",
                "at",
                "so",
                "be",
                "app",
                "team",
                "group",
                "works",
                "store",
                "shop",
                "test",
                "info",
                "design",
                "online",
                "es",
                "de",
                "is",
            }
        ):
            return False
        return _kind_of_url(value, scan) in kinds

    return accept


_URL = r"(?<![\w@])(?P<x>(?:https?|wss?|ftp)://[^\s<>\"'|]{3,2000}?)(?=[.,;:!?)\]}>\"'*_]*(?:[\s<>\"'|]|$))"
_BARE = (
    r"(?<![\w@./:\-])(?P<x>(?:[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?\.){1,4}"
    + _TLD
    + r"(?::\d{2,5})?(?:/[^\s<>\"'|]{0,500}?)?)(?=[.,;:!?)\]}>\"'*_]*(?:[\s<>\"'|]|$))"
)
_SLUG_STOP = frozenset(
    "the a an is was not no now still just also broken gone wrong too so very slow empty my our "
    "your this that it in on at to for from with and or but what where which how why when "
    "different same old new missing invalid correct incorrect taken available required changed "
    "url name slug id address link settings page called named currently still eu us be".split()
)


def _is_slug(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match)
    plain = value.lower()
    if plain in _SLUG_STOP or plain in _FEATURE_PATHS or plain in TOOLS:
        return False
    quoted = scan.text[match.start("x") - 1 : match.start("x")] in {'"', "'"}
    known = words().common
    if any(char in value for char in "-_") or any(char.isdigit() for char in value):
        parts = [part for part in re.split(r"[-_]", plain) if part]
        return quoted or not all(part in known for part in parts) or len(parts) > 1
    return quoted or plain not in known


URL = [
    Rule("SECRET", _r(_URL), gate=("://",), accept=_url_is("secret"), score=0.97),
    Rule("URL", _r(_URL), gate=("://",), accept=_url_is("signed", "foreign"), score=0.92),
    Rule("URL", _r(_BARE), gate=(".",), accept=_bare_is("signed", "foreign"), score=0.6),
    Rule("SECRET", _r(_BARE), gate=(".",), accept=_bare_is("secret"), score=0.96),
]

WORKSPACE = [
    Rule("WORKSPACE_URL", _r(_URL), gate=("://",), accept=_url_is("workspace"), score=0.96),
    Rule("WORKSPACE_URL", _r(_BARE), gate=(".",), accept=_bare_is("workspace"), score=0.96),
    Rule(
        "WORKSPACE_URL",
        _r(
            r"\b(?:workspace|org|organi[sz]ation|tenant|subdomain|team)[ -]?(?:url|slug|name|id|"
            r"handle|subdomain)?(?:[ ](?:is|was|called|named|slug|url)|[ ]?[:=]|[ ]is[ ](?:called|named)"
            r"){1,2}[ ]{0,2}[\"']?(?P<x>[a-z][\w\-]{1,40})[\"']?(?=[\s.,;:!?)\"']|$)"
        ),
        gate=("workspace", "org", "tenant", "subdomain", "slug"),
        accept=lambda match, scan: (
            re.search(r"\bteam\b", match[0].lower()) is None
            and (_marked_slug(match) or any(c in match["x"] for c in "-_0123456789"))
            and _is_slug(match, scan)
        ),
        score=0.7,
    ),
    Rule(
        "WORKSPACE_URL",
        _r(r"\b(?:slug|subdomain)(?:[ ]is|[ ]?[:=])?[ ][\"']?(?P<x>[a-z][\w\-]{2,40})\b"),
        gate=("slug", "subdomain"),
        accept=_is_slug,
        score=0.7,
    ),
    Rule(
        "WORKSPACE_URL",
        _r(r"\bworkspace,?[ ](?P<q>[\"'])(?P<x>[^\"'\n]{2,40})(?P=q)"),
        gate=("workspace",),
        score=0.7,
    ),
    Rule(
        "WORKSPACE_URL",
        _r(
            r"\b(?:workspace|org)[ ]?(?:[:(]|,)?[ ]?(?P<x>[a-z][\w\-]{3,30})"
            r"(?=[ ](?:is|was|has|and|on|for|in|at|doesn|isn|to)\b|[).,;!?]|[ ]?$)"
        ),
        gate=("workspace", "org"),
        accept=lambda match, scan: (
            _is_slug(match, scan)
            and not all(part in words().common for part in match["x"].lower().split("-"))
            and (match["x"].islower() or "-" in match["x"])
        ),
        score=0.7,
    ),
    Rule(
        "WORKSPACE_URL",
        _r(r"(?<![\w.])/(?P<x>[a-z][a-z0-9]*(?:-[a-z0-9]+)+) workspace\b"),
        gate=(" workspace",),
        score=0.7,
    ),
]


def _marked_slug(match: re.Match[str]) -> bool:
    head = match[0].lower()
    return any(word in head for word in ("slug", "called", "named", "subdomain", "url", "name"))


# --- secrets -----------------------------------------------------------------------------------

_PREFIXED_KEY = (
    r"(?:(?:sk|pk|rk)_(?:live|test)_|tl_(?:(?:live|test|api|pat|key|sk)_)?|gh[pousr]_|github_pat_|"
    r"glpat-|gldt-|glrt-|xox[abeoprs]-|xapp-|(?:AKIA|ASIA|AGPA|AROA)(?=[A-Z0-9]{12})|AIza|ya29\.|SG\.|"
    r"npm_|pypi-|hf_|dop_v1_|sk-ant-|sk-proj-|sk-|lin_api_|lin_oauth_|whsec_|shpat_|shpss_|rzp_live_|"
    r"figd_|ntn_|secret_|key-|pat-|EAAC|NRAK-|dckr_pat_|ATATT|atlasv1\.|vault:|hvs\.|r8_|gsk_|AC(?=[0-9a-f]{32}))"
)


def _entropy(value: str) -> float:
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


def _looks_random(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match)
    tail = re.sub(r"^" + _PREFIXED_KEY, "", value)
    if re.search(r"(?:your|xxxx|example_?key|placeholder|my_?key|here|redacted)", tail.lower()):
        return False
    if not any(char.isdigit() for char in tail):
        shapes = (str.islower, str.isupper)
        return len(tail) >= 12 and not any(s(tail) for s in shapes) and "_" not in tail
    return len(tail) >= 6


def _hex_secret(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match)
    if len(set(value.lower())) < 5 or not any(char.isdigit() for char in value):
        return False
    near = scan.before(_start(match), 24)
    return re.search(r"commit|sha|revision|\brev\b|hash|checksum|digest|md5|/$", near) is None


def _base64_secret(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match)
    mixed = (
        any(char.isdigit() for char in value)
        and any(char.isupper() for char in value)
        and any(char.islower() for char in value)
    )
    if not mixed or "://" in scan.before(_start(match), 200).rpartition(" ")[2]:
        return False
    words_inside = re.findall(r"[A-Z]?[a-z]{4,}", value)
    if sum(map(len, words_inside)) > len(value) * 0.5:
        return False
    return _entropy(value) >= 3.6


_NOT_A_SECRET = frozenset(
    "not wrong incorrect expired being required too no never still the a an correct right fine "
    "always reset invalid rejected accepted ignored weak strong long short missing gone unknown lost "
    "changed same different empty blank saved stored hashed encrypted protected compromised leaked "
    "exposed public private secret optional mandatory case sensitive managed disabled enabled "
    "locked blocked unchanged old new set sent shown hidden visible valid broken working in on at "
    "for from to of with and or but so my our your their his her it its this that these those "
    "what where which how why when who there here now then also just only already probably "
    "definitely something anything nothing everything field box page reset link policy manager "
    "protected screen prompt login sign code was is are were be been has have had does do did "
    "cant can't won't doesn't isn't wasn't cannot you i we they he she me us them as if by "
    "up out off over read write admin none null true false revoked rotated regenerated deleted "
    "created generated unusable useless visible masked limited scoped not: ok okay good bad "
    "used copied shared unique asked requested accepted? denied refused like about under "
    "somewhere automatically permission permissions personal available safe secure".split()
)


def _is_password(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match).rstrip(".,;!?")
    if not value or _PLACEHOLDER_VALUE.match(value):
        return False
    plain = value.lower().strip("'\"")
    if plain in _NOT_A_SECRET or plain in TOOLS:
        return False
    if scan.text[match.start("x") - 1 : match.start("x")] in {'"', "'"}:
        return len(plain) >= 3
    if any(not char.isalpha() and char not in "-'" for char in value) and len(value) >= 3:
        return re.fullmatch(r"\d{1,3}", value) is None or "pin" in match[0].lower()
    if any(char.isupper() for char in value[1:]):
        return True
    ends = re.match(r"\s*(?:[.,;!?)\n]|$|and\b|but\b|if\b|for\b|-)", scan.after(_end(match)))
    suffix = re.search(r"(?:ing|ed|able|ible|less|ful|ly|n't)$", plain)
    return ends is not None and suffix is None and plain not in words().common


def _is_password_word(match: re.Match[str], scan: Scan) -> bool:
    """After a colon or an equals sign a plain word counts as well."""
    value = _value(match).rstrip(".,;!?")
    plain = value.lower().strip("'\"")
    if not value or _PLACEHOLDER_VALUE.match(value) or plain in _NOT_A_SECRET:
        return False
    return len(plain) >= 3 and not plain.startswith(("http", "<"))


_PASSWORD = (
    r"(?:pass(?:word|wort|wd|code|phrase)|passwd|pwd|\bpw|kennwort|contrase\u00f1a|mot de passe|senha|"
    r"\bpin(?:[ -]?(?:code|number))?|\botp|(?:verification|security|2fa|login|sign-?in|auth\w*|backup|"
    r"recovery|one-time|access|door|gate) ?codes?)"
)
_SECRET_NAME = (
    r"(?:api[ _-]?(?:key|token|secret)|(?:access|auth|bearer|refresh|personal|session|id|bot|webhook|"
    r"signing|client|shared|deploy|private|secret|license|licence|scim|service)[ _-]?"
    r"(?:access[ _-]?)?(?:token|key|secret)|secret|token|credentials?)"
)

SECRET = [
    Rule(
        "SECRET",
        _r(r"(?<![\w])(?P<x>" + _PREFIXED_KEY + r"[\w\-.=/+]{5,300}[\w=])", flags=0),
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
            "ac",
        ),
        accept=_looks_random,
        score=0.98,
    ),
    Rule(
        "SECRET",
        _r(r"(?<![\w.])(?P<x>eyJ[\w\-]{5,4000}(?:\.[\w\-]{4,8000}){1,2})", flags=0),
        gate=("eyj",),
        score=0.99,
    ),
    Rule(
        "SECRET",
        _r(
            r"-----BEGIN [A-Z0-9 ]{3,40}-----[\s\S]{1,8000}?(?:-----END [A-Z0-9 ]{3,40}-----|\Z)",
            flags=0,
        ),
        gate=("-----begin",),
        score=0.99,
    ),
    Rule(
        "SECRET",
        _r(
            r"\bssh-(?:rsa|ed25519|dss) (?P<x>AAAA[\w+/=]{20,2000}(?: \S{3,80}@\S{1,80})?)", flags=0
        ),
        gate=("ssh-",),
        score=0.99,
    ),
    Rule(
        "SECRET",
        _r(r"(?<![\w\-/#])(?P<x>[0-9a-f]{32,256})(?![\w\-])"),
        digits=True,
        accept=_hex_secret,
        score=0.85,
    ),
    Rule(
        "SECRET",
        _r(r"(?<![\w\-/+.@#])(?P<x>[A-Za-z0-9+/_\-]{24,500}={0,2})(?![\w\-])", flags=0),
        digits=True,
        accept=_base64_secret,
        score=0.84,
    ),
    Rule(
        "SECRET",
        _r(
            r"\b(?:bearer|basic)[ ]+(?P<x>[\w\-.=/+~]{12,2000})",
        ),
        gate=("bearer", "basic"),
        accept=lambda match, scan: (
            any(char.isdigit() for char in match["x"]) and not _PLACEHOLDER_VALUE.match(match["x"])
        ),
        score=0.9,
    ),
    Rule(
        "SECRET",
        _r(
            r"\b" + _SECRET_NAME + r"\b[^\S\n]*(?:(?:is|was|:|=|=>|->|-|are)[^\S\n]*){1,2}[\"'`(]?"
            r"(?P<x>[\w\-.=/+~!@#$%^&*]{6,500})"
        ),
        gate=("key", "token", "secret", "credential"),
        accept=lambda match, scan: (
            any(char.isdigit() for char in match["x"])
            and sum(char.isalnum() for char in match["x"]) >= 6
            and not _PLACEHOLDER_VALUE.match(match["x"])
            and re.fullmatch(r"[A-Z]{2,5}-\d{1,5}[.,]?", match["x"]) is None
            and re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", match["x"]) is None
        ),
        score=0.88,
    ),
    Rule(
        "SECRET",
        _r(
            r"\b(?:serial|licen[cs]e|activation|product|recovery|backup|coupon|voucher|promo|discount)"
            r"[ -](?:key|code|number)s?(?:[ ](?:is|are|was)|[ ]?[:=#])?[ ]{1,2}"
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
        _r(
            _PASSWORD
            + r"\b[^\S\n]*(?:(?:i|we)[ ](?:use|used|set|typed|tried)[ ]|(?:that[ ])?(?:is|was|"
            r"'s|ist|es|est|to|as|of)[ ])(?:(?:is|was|still|now|currently|just|set[ ]to|again)[ ]){0,3}"
            r"[\"'(\[]?(?P<x>[^\s\"'<>]{3,80})"
        ),
        gate=("pass", "pwd", "pw", "pin", "otp", "code", "kennwort", "contrase", "senha"),
        accept=_is_password,
        score=0.87,
    ),
    Rule(
        "SECRET",
        _r(_PASSWORD + r"[ ]?(?:=|:|->|=>|-(?=[ ]))[ ]{0,3}[\"'`]?(?P<x>[^\s\"'`<>,;]{3,80})"),
        gate=("pass", "pwd", "pw", "pin", "otp", "code", "kennwort", "contrase", "senha"),
        accept=_is_password_word,
        score=0.88,
    ),
    Rule(
        "SECRET",
        _r(_PASSWORD + r"[ ]?(?:is|was|:|=|->)?[ ]{0,2}(?P<q>[\"'])(?P<x>[^\"'\n]{3,80})(?P=q)"),
        gate=("pass", "pwd", "pw", "pin", "kennwort", "contrase", "senha"),
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
        _r(_PASSWORD + r"[ ](?P<x>(?=[^\s]{0,40}\d)[^\s\"'<>,;]{4,40})"),
        gate=("pass", "pwd", "pw", "pin", "otp", "code", "kennwort"),
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
        _r(
            r"\b(?:user(?:name)?|login|credentials|creds)[ ]?[:=]?[ ]?[\w.@+\-]{2,60}[ ]?/[ ]?(?P<x>[^\s/<>]{4,60})"
        ),
        gate=("user", "login", "cred"),
        accept=lambda match, scan: any(not char.isalpha() for char in match["x"].rstrip(".,")),
        score=0.8,
    ),
    Rule(
        "ID",
        _r(
            r"\b(?:user ?name|user(?=:)|login(?: name)?|user ?id|screen ?name)(?:[ ]is|[ ]?[:=])[ ]?[\"']?(?P<x>[\w.\-+]{3,40})"
        ),
        gate=("user", "login", "screen"),
        accept=lambda match, scan: (
            _is_slug(match, scan)
            and match["x"].lower() not in _NOT_A_SECRET
            and re.fullmatch(r"[a-z]+", match["x"]) is None
        ),
        score=0.7,
    ),
]


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


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


_MONEY_WORD = re.compile(
    r"card|visa|master|amex|credit|debit|payment|charge|cvv|cvc|discover|maestro"
)


def _is_card(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match)
    digits = _digits(value)
    if len(set(digits)) < 2 or not 12 <= len(digits) <= 19:
        return False
    grouped = re.fullmatch(r"\d{4}(?:[ -]\d{4}){3}|\d{4}[ -]\d{6}[ -]\d{5}", value) is not None
    near = _MONEY_WORD.search(scan.before(_start(match), 50)) is not None
    if grouped or near:
        return True
    return digits[0] in "3456" and len(digits) in (14, 15, 16, 19) and luhn(digits)


CARD = [
    Rule(
        "CARD",
        _r(r"(?<![\w.\-/+])(?P<x>\d(?:[ -]{0,2}\d){11,18})(?![\w]|[.\-]\d)"),
        digits=True,
        accept=_is_card,
        score=0.94,
    ),
    Rule(
        "CARD",
        _r(
            r"\b(?:card|visa|mastercard|amex|maestro)\b[^\n\d]{0,30}?(?:ending|ends|last(?: four| 4)?"
            r"(?: digits)?|\.{2,}|\*{2,}|x{2,}|\u2022{2,})[^\n\d]{0,12}(?P<x>\d{4})\b"
        ),
        gate=("card", "visa", "amex", "maestro"),
        digits=True,
        score=0.85,
    ),
    Rule(
        "CARD",
        _r(
            r"\b(?:cvv2?|cvc2?|cid|security code)(?:[ ](?:is|code|number))?[ ]?[:=]?[ ]{0,2}(?P<x>\d{3,4})\b"
        ),
        gate=("cvv", "cvc", "security code"),
        digits=True,
        score=0.9,
    ),
    Rule(
        "CARD",
        _r(
            r"\b(?:exp(?:iry|ires|iration)?(?: date)?|valid (?:until|thru|through))[ .:]{0,3}(?P<x>(?:0[1-9]|1[0-2])[ ]?/[ ]?(?:20)?\d\d)\b"
        ),
        gate=("exp", "valid"),
        digits=True,
        score=0.85,
    ),
]


_IBAN_LENGTHS = dict(
    zip(
        "AD AE AL AT AZ BA BE BG BH BR CH CR CY CZ DE DK DO EE ES FI FO FR GB GE GI GL GR HR HU IE "
        "IL IS IT KW KZ LB LI LT LU LV MC MD ME MK MT MU NL NO PK PL PS PT QA RO RS SA SE SI SK SM "
        "TN TR UA".split(),
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
    compact = re.sub(r"[ \-]", "", _value(match)).upper()
    length = _IBAN_LENGTHS.get(compact[:2])
    if "iban" in scan.before(_start(match), 30) and len(compact) >= 14:
        return True
    return length is not None and abs(len(compact) - length) <= 1


IBAN = [
    Rule(
        "IBAN",
        _r(
            r"(?<![\w\-])(?P<x>[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?)(?![\w])",
            flags=0,
        ),
        digits=True,
        accept=_is_iban,
        score=0.95,
    ),
    Rule(
        "IBAN",
        _r(r"\biban\b[^\n]{0,12}?(?P<x>[a-z]{2}\d{2}(?:[ -]?[a-z0-9]){10,30})(?![\w])"),
        gate=("iban",),
        digits=True,
        score=0.95,
    ),
    Rule(
        "ID",
        _r(
            r"\b(?:bic|swift)(?:[ /-](?:code|swift|bic))?(?:[ ]is)?[ ]?:?[ ](?P<x>[a-z]{4}[a-z]{2}[a-z0-9]{2}(?:[a-z0-9]{3})?)\b"
        ),
        gate=("bic", "swift"),
        accept=lambda match, scan: match["x"].isupper(),
        score=0.8,
    ),
    Rule(
        "ID",
        _r(
            r"\b(?:routing|sort[ -]?code|account|acct|bank account|kontonummer|blz)[ ]?(?:number|no\.?|nr\.?|#)?"
            r"(?:[ ]is)?[ ]?[:#]?[ ]?(?P<x>\d{2}-\d{2}-\d{2}|\d[\d ]{4,20}\d)\b"
        ),
        gate=("routing", "sort", "account", "acct", "konto", "blz"),
        digits=True,
        accept=lambda match, scan: (
            re.fullmatch(r"(?:19|20)\d\d", match["x"]) is None and len(_digits(match["x"])) >= 5
        ),
        score=0.82,
    ),
]


def _is_wallet(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match)
    return any(char.isdigit() for char in value) and (
        value.startswith(("0x", "bc1")) or _entropy(value) > 3.5
    )


WALLET = [
    Rule(
        "WALLET",
        _r(
            r"(?<![\w/\-])(?P<x>0x[0-9a-fA-F]{40}|bc1[02-9ac-hj-np-z]{20,80}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|"
            r"[LM][1-9A-HJ-NP-Za-km-z]{26,33}|4[0-9AB][1-9A-HJ-NP-Za-km-z]{93}|T[1-9A-HJ-NP-Za-km-z]{33})(?![\w])",
            flags=0,
        ),
        digits=True,
        accept=_is_wallet,
        score=0.96,
    ),
]


# --- network -----------------------------------------------------------------------------------

_VERSION_WORD = re.compile(
    r"(?:\bv|version|ver|build|release|firmware|driver|update[ds]?|upgrade[ds]?|downgrade[ds]?|patch|"
    r"chrome|chromium|edge?|firefox|safari|opera|opr|electron|macos|ios|android|app|client|sdk|cli|"
    r"agent|plugin|runtime|package|installer|nightly|beta|rc|kernel|dotnet|\.net|java|python|node|"
    r"sonarqube|jira|confluence|gitlab|nginx|assembly|library|image|tag|changelog|section)"
    r"[\s:/=v(#-]*(?:is|was|number|to|from|at|on)?[\s:/=v(#-]*(?:[\d.]+[\s,]*(?:to|and|->|or|,)?[\s]*v?)?$"
)
_IP_WORD = re.compile(
    r"\bips?\b|ipv4|address|server|host|ping|subnet|firewall|allow|vpn|cidr|from my|gateway|proxy|dns|network"
)


def _is_ipv4(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match).split("/")[0].split(":")[0]
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return False
    if (
        address.is_loopback
        or address.is_unspecified
        or value.startswith("255.")
        or value == "8.8.8.8"
    ):
        return False
    before = scan.before(_start(match), 44)
    if scan.vendor.name and before.rstrip(" v(").endswith(scan.vendor.name):
        return False
    if _VERSION_WORD.search(before) and not _IP_WORD.search(before[-14:]):
        return False
    return not (re.search(r"^\s*(?:version|build|release|update)\b", scan.after(_end(match))))


def _is_ipv6(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match).split("/")[0].split("%")[0]
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified) and len(value) > 4


IP = [
    Rule(
        "IP",
        _r(r"(?<![\w.\-])(?P<x>\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?::\d{2,5})?)(?![\w]|\.\d)"),
        digits=True,
        accept=_is_ipv4,
        score=0.9,
    ),
    Rule(
        "IP",
        _r(r"(?<=[a-z]-)(?P<x>\d{1,3}(?:-\d{1,3}){3})(?=\.)"),
        digits=True,
        score=0.8,
    ),
    Rule(
        "IP",
        _r(
            r"(?<![\w:.])(?P<x>(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%\w{1,8})?(?:/\d{1,3})?)(?![\w:])"
        ),
        gate=(":",),
        digits=True,
        accept=_is_ipv6,
        score=0.9,
    ),
]

MAC = [
    Rule(
        "MAC",
        _r(
            r"(?<![\w:\-])(?P<x>[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|"
            r"[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})(?![\w:\-])"
        ),
        gate=(":", "-", "."),
        digits=True,
        score=0.93,
    ),
]


# --- phone -------------------------------------------------------------------------------------

_PHONE_WORD = re.compile(
    r"phone|\btel\b|\btel[.:]|telef|mobile|\bmob\b|\bcell|\bcall|\bring|whats ?app|\bsms\b|\btext|\bfax|"
    r"reach (?:me|us)|contact|number is|numero|handy|\bdial|signal|voicemail|hotline|line:|landline|"
    r"extension|\bph\b|\bm:|\bt:|\bp:|\bc:|\bo:"
)
_OTHER_NUMBER = re.compile(
    r"(?:order|invoice|ticket|case|account|customer|card|issue|build|version|serial|tracking|"
    r"reference|ref|id|timestamp|epoch|vat|tax|iban|po)\b[^.\n]{0,18}$"
)
_UNIT_AFTER = re.compile(
    r"^\s*(?:%|px|ms|kb|mb|gb|tb|bytes?|rows?|issues?|records?|items?|users?|requests?|seconds?|"
    r"minutes?|hours?|days?|eur|usd|gbp|dollars?|euros?|x\d|comments?|tickets?|lines?|files?)\b"
)
_PHONE_REGIONS = ("US", "GB", "DE", "FR", "AU", "IN", "BR", "IT", "ES", "NL", "JP", "ZA", "MX")


def _valid_phone(value: str, regions: tuple[str, ...]) -> bool:
    import phonenumbers

    for region in regions:
        try:
            number = phonenumbers.parse(value, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False


def _is_phone(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match).strip()
    digits = _digits(re.split(r"(?:x|ext)", value.lower())[0])
    if not 7 <= len(digits) <= 15 or len(set(digits)) < 3:
        return False
    if re.fullmatch(r"(?:19|20)\d\d[-/. ]\d{1,2}[-/. ]\d{1,2}(?:[ ]\d{1,2})?", value):
        return False
    if re.fullmatch(r"\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)\d\d(?:[ ]\d{1,2})?", value):
        return False
    if re.fullmatch(r"(?:(?:19|20)\d\d[ /\-]*){2,4}", value):
        return False
    if re.fullmatch(r"\d{1,3}(?:[ .]000)+|\d{1,3}(?:\.\d{3})+", value):
        return False
    before = scan.before(_start(match), 40)
    if value.startswith("+"):
        return True
    if _UNIT_AFTER.match(scan.after(_end(match))):
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
        return (
            grouped
            or (len(digits) in (10, 11) and _valid_phone(value, _PHONE_REGIONS))
            or (digits.startswith("07") and len(digits) == 11)
        )
    if grouped:
        shape = [len(part) for part in re.split(r"[ ()\-/.]+", value.strip("()")) if part]
        if len(digits) < 9 or (set(shape[1:]) == {3} and shape[0] <= 3 and " " in value):
            return False  # 500 000 000: a number with thousands separators
        return "." not in value and _valid_phone(value, _PHONE_REGIONS)
    return len(digits) == 10 and digits[0] in "6789" and digits not in "98765432109876"


def _is_short_phone(match: re.Match[str], scan: Scan) -> bool:
    digits = _digits(_value(match))
    return 5 <= len(digits) <= 15 and not re.fullmatch(r"(?:19|20)\d\d", digits)


PHONE = [
    Rule(
        "PHONE",
        _r(
            r"(?<![\w.#/:=@\-+])(?P<x>(?:\+[ ]?|\(\+)?\(?\d(?:[ ()./\-]{0,3}\d){6,16}"
            r"(?:[ ,]{0,2}(?:x|ext\.?|extension)[ ]?\d{1,6})?)(?![\w@]|[.\-/:]\d)"
        ),
        digits=True,
        accept=_is_phone,
        score=0.82,
    ),
    Rule(
        "PHONE",
        _r(
            r"\b(?:call|phone|ring|text|whats ?app|reach|tel|mobile|cell|fax|dial)(?:[ ](?:me|us|number|no\.?|him|her|is|"
            r"on|at|back|my|our|cell|mobile|phone)){0,4}[.:]?[ ]{1,2}(?P<x>\+?\(?\d[\d ()./\-]{4,18}\d)"
            r"(?![\w])"
        ),
        gate=(
            "call",
            "phone",
            "ring",
            "text",
            "what",
            "reach",
            "tel",
            "mobile",
            "cell",
            "fax",
            "dial",
        ),
        digits=True,
        accept=lambda match, scan: (
            6 <= len(_digits(match["x"])) <= 15
            and _UNIT_AFTER.match(scan.after(match.end("x"))) is None
            and re.fullmatch(r"(?:19|20)\d\d-\d\d-\d\d", match["x"]) is None
        ),
        score=0.81,
    ),
    Rule(
        "PHONE",
        _r(r"\bext(?:ension)?\.?[ ]?(?:is |no\.? )?(?P<x>\d{2,5})\b"),
        gate=("ext",),
        digits=True,
        accept=lambda match, scan: _PHONE_WORD.search(scan.before(match.start(), 40)) is not None,
        score=0.7,
    ),
]


# --- government ids ----------------------------------------------------------------------------

_ID_WORD = (
    r"(?:vat(?:[ -]?(?:id|no\.?|nr\.?|number|reg\w*))?|tax[ -]?(?:id|no\.?|number|payer\w*|code|ref\w*)|"
    r"tin|ein|itin|ssn|social security(?: number| no\.?)?|sin|nino?|national insurance(?: number| no\.?)?|"
    r"ni number|nhs(?: number)?|"
    r"passport(?: number| no\.?)?|driv(?:er'?s?|ing) licen[cs]e(?: number| no\.?)?|"
    r"ust-?id(?:-?nr)?\.?|ust-?idnr\.?|steuer(?:nummer|-?id)|mwst|tva|siren|siret|nif|nie|cif|dni|iva|p\.? ?iva|"
    r"partita iva|codice fiscale|cpf|cnpj|curp|rfc|abn|acn|tfn|gst(?:in)?(?: number)?|pan(?: card| number)?|"
    r"aadhaa?r|personnummer|pesel|bsn|kvk|btw|nric|fin|hkid|cuit|cuil|rut|"
    r"national id(?: number)?|identity (?:card|number)|id card|personal id(?:entification)?(?: number)?|"
    r"employee (?:id|number|no\.?)|staff (?:id|number)|student (?:id|number)|company (?:reg\w*|number|no\.?)|"
    r"registration (?:number|no\.?)|handelsregister|crn|imei|serial (?:number|no\.?)|vin|policy number|"
    r"medicare(?: number)?|member(?:ship)? (?:id|number))"
)


def _is_id(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match)
    count = sum(char.isdigit() for char in value)
    if re.fullmatch(r"(?:19|20)\d\d", value) or re.match(r"tl-\d", value.lower()):
        return False
    return count >= 5 or (count >= 3 and len(value) >= 8)


GOVERNMENT_ID = [
    Rule(
        "ID",
        _r(
            r"\b"
            + _ID_WORD
            + r"\b(?:[ ](?:is|number|no\.?|nr\.?|id|was|on file|to|:|should be)){0,3}[ ]?[:#=.\-(]{0,2}[ ]{0,2}"
            r"(?P<x>[a-z]{0,4}[ ]?[\d][a-z0-9]*(?:[ .\-/][a-z]{0,2}\d[a-z0-9]*){0,6}(?:[ ]?[a-z]\b(?![ ][a-z]))?)"
        ),
        digits=True,
        accept=_is_id,
        score=0.89,
    ),
    Rule(
        "ID",
        _r(
            r"\b"
            + _ID_WORD
            + r"\b(?:[ ](?:is|number|no\.?|nr\.?|id|was)){0,3}[ ]?[:#=]{0,1}[ ]{0,2}(?P<x>(?=[A-Z0-9]{0,20}\d)[A-Z0-9][A-Z0-9\-]{5,20})\b"
        ),
        digits=True,
        accept=_is_id,
        score=0.885,
    ),
    Rule(
        "ID",
        _r(r"(?<![\w\-])(?P<x>(?!000|666|9)\d{3}[- ](?!00)\d{2}[- ](?!0000)\d{4})(?![\w\-])"),
        digits=True,
        accept=lambda match, scan: (
            "-" in match["x"]
            or "ss" in scan.before(match.start("x"), 24)
            or "social" in scan.before(match.start("x"), 30)
        ),
        score=0.9,
    ),
    Rule(
        "ID",
        _r(
            r"(?<![\w\-])(?P<x>ATU\d{8}|BE[ ]?0\d{3}[. ]?\d{3}[. ]?\d{3}|DE[ ]?\d{9}|DE[ ]\d{3}[ ]\d{3}[ ]\d{3}|DK[ ]?\d{8}|"
            r"ES[ ]?[A-Z0-9]\d{7}[A-Z0-9]|FR[ ]?[A-Z0-9]{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}|GB[ ]?\d{3}[ ]?\d{4}[ ]?\d{2}(?:[ ]?\d{3})?|"
            r"IE[ ]?\d[A-Z0-9+*]\d{5}[A-Z]{1,2}|IT[ ]?\d{11}|NL[ ]?\d{9}[ ]?B\d{2}|PL[ ]?\d{10}|PT[ ]?\d{9}|SE[ ]?\d{12}|"
            r"FI[ ]?\d{8}|CZ\d{8,10}|HU\d{8}|RO\d{6,10}|EL\d{9}|LU\d{8}|SK\d{10}|SI\d{8}|HR\d{11}|EE\d{9}|LV\d{11}|LT\d{9,12}|"
            r"BG\d{9,10}|CY\d{8}[A-Z]|MT\d{8}|CHE[- ]?\d{3}[. ]?\d{3}[. ]?\d{3}|NO[ ]?\d{9}(?:[ ]?MVA)?)(?![\w\-])",
            flags=0,
        ),
        digits=True,
        score=0.9,
    ),
    Rule(
        "ID",
        _r(
            r"(?<![\w\-.])(?P<x>\d{3}\.\d{3}\.\d{3}-\d{2}|\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}|"
            r"\d{2}[A-Z]{5}\d{4}[A-Z][A-Z0-9]Z[A-Z0-9]|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ ]?\d{2}[ ]?\d{2}[ ]?\d{2}[ ]?[A-D]|"
            r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]|[XYZ]\d{7}[A-Z]|\d{8}[A-HJ-NP-TV-Z]|"
            r"[STFGM]\d{7}[A-Z]|[A-Z]{5}\d{4}[A-Z]|\d{6}[-+]\d{4}|[1-4]\d{2}[ ]\d{2}[ ]\d{2}[ ]\d{2}[ ]\d{3}[ ]\d{3}[ ]\d{2}|"
            r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d)(?![\w\-])",
            flags=0,
        ),
        digits=True,
        score=0.88,
    ),
]


# --- references --------------------------------------------------------------------------------

_REFERENCE_WORD = (
    r"(?:invoice|order|receipt|customer|client|account|acct|subscription|transaction|payment|purchase order|"
    r"p\.?o\.?|booking|contract|quote|credit note|refund|case|ticket|support (?:ticket|case|request)|reference|ref|"
    r"confirmation|tracking|shipment|license|licence|dispute|charge|billing|workspace|organi[sz]ation|org|tenant|"
    r"session|request|trace|device|installation|debug|correlation|user)"
)
_FORGE_WORD = re.compile(
    r"(?:\bpr|pull request|pull|issue|issues|\bmr|merge request|bug|commit|milestone|chapter|step|item|colou?r|hex|"
    r"background|theme|css|label|fill|shade|channel|row|line|page|section|rank|part|priority)s?[ :=\"'(]*$"
)


def _is_reference(match: re.Match[str], scan: Scan) -> bool:
    value = _value(match)
    count = sum(char.isdigit() for char in value)
    if re.fullmatch(r"(?:19|20)\d\d", value) or count < 4:
        return False
    if re.fullmatch(r"[A-Za-z]{2,5}-\d{1,5}", value) and not re.match(
        r"(?i)(?:inv|ord|ref|acc|acct|cust|cus|po|so|rma|txn|sub|pay|cn|cr|qt|quo|rcpt|tkt|req|con|bil)-",
        value,
    ):
        # an issue id such as ENG-1421, unless an order or invoice number is announced
        return (
            re.search(r"invoice|order|receipt|customer|account|contract", match[0].lower())
            is not None
        )
    if _UNIT_AFTER.match(scan.after(_end(match))) is not None:
        return False
    return re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}$", value) is None


REFERENCE = [
    Rule(
        "REFERENCE",
        _r(
            r"(?<![\w\-])#?(?P<x>(?:INV|INVOICE|ORD|ORDER|ACC|ACCT|ACCOUNT|CUST|CUSTOMER|CUS|CLIENT|REF|PO|SO|RMA|TCK|TKT|TICKET|CASE|SUB|TXN|PAY|"
            r"PMT|CR|CN|RE|RG|RN|QUO|QT|QUOTE|CONTRACT|LIC|RCPT|RECEIPT|REFUND|BILL|BIL|SUP|SR|FAC|FACT|REQ)"
            r"[-_/#]?(?:[A-Z]{0,4}[-_/]?\d{2,12})(?:[-_/][A-Z0-9]{1,12}){0,3})(?![\w])",
        ),
        digits=True,
        accept=lambda match, scan: _prefixed_reference(match["x"]),
        score=0.83,
    ),
    Rule(
        "REFERENCE",
        _r(
            r"\b"
            + _REFERENCE_WORD
            + r"(?:[ -]?(?:number|numbers|no\.?|nr\.?|num|id|ids|ref(?:erence)?|code|#))?(?:[ ](?:is|was|are|for|of|to))?"
            r"[ ]?[:=]?[ ]?(?:no\.?|nr\.?|#|\()?[ ]?[\"']?(?P<x>(?=[\w\-/]{0,40}\d)[a-z0-9]{1,20}(?:[-_/][a-z0-9]{1,20}){0,5})(?![\w])"
        ),
        digits=True,
        accept=_is_reference,
        score=0.78,
    ),
    Rule(
        "REFERENCE",
        _r(r"(?<![\w/&\-#])#[ ]?(?P<x>[A-Z]{0,3}-?\d{4,14}(?:-\d{1,8})?)(?![\w])"),
        gate=("#",),
        digits=True,
        accept=lambda match, scan: (
            _FORGE_WORD.search(scan.before(match.start(), 20)) is None
            and _FORGE_WORD.search(scan.before(match.start(), 20).rstrip("# ")) is None
            and re.search(r"colou?r|hex|css|theme", scan.before(match.start(), 40)) is None
        ),
        score=0.77,
    ),
    Rule(
        "REFERENCE",
        _r(
            r"(?<![\w\-])(?P<x>(?:cus|sub|in|ch|pi|pm|evt|acct|txn|ord|usr|user|ws|org|wsp|inv|py|re|si|seti|req|sess|dev|cs|mem|team)_(?=[A-Za-z]*\d)[A-Za-z0-9]{8,60})(?![\w])"
        ),
        gate=("_",),
        digits=True,
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
    r"licen[cs]e|correlation|debug|support|invoice|client|install"
)

UUID = [
    Rule(
        "ID",
        _r(
            r"(?<![\w\-])(?P<x>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![\w\-])"
        ),
        gate=("-",),
        digits=True,
        accept=lambda match, scan: (
            _ACCOUNT_WORD.search(scan.before(match.start("x"), 60)) is not None
        ),
        score=0.87,
    ),
]


# --- places and dates --------------------------------------------------------------------------

_STREET = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Av|Boulevard|Blvd|Lane|Ln|Drive|Dr|Way|Court|Ct|Place|Pl|Square|Sq|Terrace|Close|"
    r"Crescent|Cres|Parkway|Pkwy|Highway|Hwy|Quay|Row|Mews|Gardens|Grove|Hill|Walk|Alley|Circle|Cir|Trail|Wharf|Parade|Loop|Plaza|Pike)"
)
_TITLE = r"[A-Z\u00c0-\u00de][\w'\u00c0-\u024f.\-]{0,24}"
_UNIT = r"(?:,?[ ](?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Flat|Room|Rm|Building|Bldg|Level|#)\.?[ ]?[\w\-]{1,8}|,?[ ]\d{1,3}(?:st|nd|rd|th)[ ](?:Floor|floor|Fl)\.?)?"
_POST = r"(?:[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[A-Z]{2}|[A-Z]\d[A-Z][ ]?\d[A-Z]\d|(?:[A-Z]{1,2}-)?\d{4,5}(?:-\d{3,4})?(?:[ ][A-Z]{2})?|\d{3}[ ]?\d{2,3}|\d{3}-\d{4})"
_CITY = (
    r"(?:,?[ \n]{1,2}(?:"
    + _POST
    + r"[ ])?"
    + _TITLE
    + r"(?:[ ](?:de|am|an der|upon|sur|on|la|le|do|da|del|"
    + _TITLE
    + r")){0,3}"
    r"(?:,?[ ](?:[A-Z]{2,3}|"
    + _TITLE
    + r"))?(?:,?[ ]"
    + _POST
    + r")(?:,?[ ](?:"
    + _TITLE
    + r"(?:[ ]"
    + _TITLE
    + r")?|USA|UK))?)"
)
_CITY_AFTER = (
    r"(?:,[ ]?"
    + _POST
    + r"[ ]"
    + _TITLE
    + r"(?:[ ]"
    + _TITLE
    + r"){0,2}(?:,[ ]"
    + _TITLE
    + r")?|,[ ]"
    + _TITLE
    + r"(?:[ ]"
    + _TITLE
    + r")?(?:,[ ]"
    + _TITLE
    + r")?(?![\w]))"
)
_TAIL = r"(?:" + _CITY + r"|" + _CITY_AFTER + r")?"


def _is_address(match: re.Match[str], scan: Scan) -> bool:
    body = match[0]
    if re.search(r"\b(?:Google|One) ?Drive\b", body):
        return False
    return ">" not in scan.before(match.start(), 3)


ADDRESS = [
    Rule(
        "ADDRESS",
        _r(
            r"(?<![\w.#\-/])(?P<x>\d{1,5}[A-Za-z]?(?:[-/]\d{1,4})?,?[ ](?:(?:North|South|East|West|N|S|E|W|NE|NW|SE|SW)\.?[ ])?(?:(?:"
            + _TITLE
            + r"|\d{1,3}(?:st|nd|rd|th))[ ]){1,3}"
            + _STREET
            + r"\b\.?"
            + _UNIT
            + _TAIL
            + r")",
            flags=0,
        ),
        digits=True,
        accept=_is_address,
        score=0.88,
    ),
    Rule(
        "ADDRESS",
        _r(
            r"(?<![\w.#\-/])(?P<x>\d{1,5}[a-z]?[ ](?:[a-z']{3,20}[ ]){1,2}(?:street|road|avenue|lane|boulevard|blvd|ave|terrace)\b"
            r"(?:[ ,]{1,2}(?:apt|flat|unit|suite)[ ]?\w{1,6})?(?:,?[ ][a-z]{3,20}){0,2}(?:,?[ ](?:[a-z]{1,2}\d[a-z\d]?[ ]?\d[a-z]{2}|\d{5}))?)(?![\w])"
        ),
        gate=("street", "road", "avenue", "lane", "boulevard", "blvd", " ave", "terrace"),
        digits=True,
        accept=lambda match, scan: (
            not any(
                word
                in {
                    "the",
                    "down",
                    "issues",
                    "ways",
                    "more",
                    "on",
                    "of",
                    "for",
                    "days",
                    "items",
                    "and",
                    "in",
                    "our",
                    "major",
                }
                for word in match[0].lower().split()[1:4]
            )
        ),
        score=0.8,
    ),
    Rule(
        "ADDRESS",
        _r(
            r"(?<![\w])(?P<x>(?:"
            + _TITLE
            + r"[ -])?(?:[A-Z\u00c0-\u00de][\w\u00c0-\u024f\-]{2,30}(?:stra\u00dfe|strasse|str\.|weg|platz|allee|gasse|ring|ufer|damm|"
            r"straat|gracht|laan|plein|kade|singel|gatan|v\u00e4gen|vej|gade|veien|katu|utca)|(?:Am|An der|Unter den|Zum)[ ]"
            + _TITLE
            + r")"
            r"[ ]\d{1,4}[ ]?[a-zA-Z]?\b" + _TAIL + r")",
            flags=0,
        ),
        digits=True,
        accept=lambda match, scan: not re.match(r"(?:Am|Zum) (?:Monday|Montag|\d)", match[0]),
        score=0.87,
    ),
    Rule(
        "ADDRESS",
        _r(
            r"(?<![\w])(?P<x>(?:\d{1,4}(?:[ ]?(?:bis|ter|[A-Za-z]))?,?[ ])?(?:rue|Rue|avenue|Avenue|boulevard|Boulevard|bd|place|quai|all\u00e9e|chemin|impasse|"
            r"Calle|calle|C/|Avenida|avenida|Av\.|Avda\.|Paseo|Plaza|Carrer|Rua|Travessa|Largo|Pra\u00e7a|Via|via|Viale|Piazza|Corso|Ulica|ul\.|Jalan|Jl\.)[ ]"
            r"(?:(?:de|du|des|la|le|les|l'|d'|del|della|dei|da|do|dos|das|el|los|las|di|san|"
            + _TITLE
            + r")[ ']?){1,5}"
            r"(?:,?[ ]?(?:n\u00ba|no\.?|n\.)?[ ]?\d{1,5}[A-Za-z]?)?" + _TAIL + r")",
            flags=0,
        ),
        digits=True,
        accept=lambda match, scan: (
            any(char.isdigit() for char in match["x"])
            and re.search(r"[A-Z]", match["x"][3:]) is not None
            and not re.match(
                r"(?:via|place) (?:API|CSV|Slack|GitHub|GraphQL|Zapier|Jira|REST|SCIM|SSO)",
                match["x"],
            )
        ),
        score=0.86,
    ),
    Rule(
        "ADDRESS",
        _r(
            r"\b(?P<x>p\.?[ ]?o\.?[ ]?box[ ]\d{1,7}(?:,[ ][\w .\-]{2,40}){0,3}|postfach[ ]\d[\d ]{1,8}|apartado[ ]\d{1,6})"
        ),
        gate=("box", "postfach", "apartado"),
        digits=True,
        score=0.86,
    ),
    Rule(
        "ADDRESS",
        _r(
            r"(?<![\w\-/])(?P<x>(?:GIR[ ]0AA|[A-Z]{1,2}\d[A-Z\d]?[ ]\d[ABD-HJLNP-UW-Z]{2}|[ABCEGHJ-NPRSTVXY]\d[A-Z][ ]\d[A-Z]\d))(?![\w\-])",
            flags=0,
        ),
        digits=True,
        score=0.8,
    ),
    Rule(
        "ADDRESS",
        _r(
            r"(?<![\w])(?P<x>(?:"
            + _TITLE
            + r"(?:[ ]"
            + _TITLE
            + r"){0,2},[ ])(?:AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|"
            r"NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|NSW|VIC|QLD|WA|SA|TAS|ACT|NT|ON|QC|BC|AB)[ ]\d{4,5}(?:-\d{4})?)(?![\w])",
            flags=0,
        ),
        digits=True,
        score=0.85,
    ),
    Rule(
        "ADDRESS",
        _r(
            r"\b(?:zip(?: ?code)?|post(?:al)? ?code|plz|cap|eircode)(?:[ ]is|[ ]?[:=])?[ ](?P<x>(?=[\w -]{0,9}\d)[a-z0-9]{3,5}(?:[ -][a-z0-9]{3,4})?)\b"
        ),
        gate=("zip", "post", "plz", "eircode"),
        digits=True,
        accept=lambda match, scan: "file" not in scan.after(match.end("x"), 8),
        score=0.8,
    ),
    Rule(
        "ADDRESS",
        _r(
            r"\b(?:(?:billing|shipping|delivery|postal|mailing|office|home|street|company|registered|our|my|new|the)[ ]){1,3}(?:postal |mailing |office |billing )?address"
            r"(?:[ ]on[ ](?:it|file|the invoice|invoices?))?(?:[ ](?:is|was|has changed to|changed to|should be|should read|to)|[ ]?:)[ ]?\n?"
            r"(?P<x>(?=[^\n]{0,60}\d)[^\n@]{8,120}?)(?=[.!?]?(?:\s*$|[ ](?:and|but|please|can|could|thanks)\b)|\.[ ][A-Z])"
        ),
        gate=("address",),
        digits=True,
        accept=lambda match, scan: (
            re.search(r"[a-z]{3}", match["x"].lower()) is not None
            and re.search(
                r"\d{1,3}\.\d{1,3}\.\d{1,3}|@|://|\berror\b|TL-\d|\bworkspace\b", match["x"]
            )
            is None
        ),
        score=0.75,
    ),
    Rule(
        "ADDRESS",
        _r(
            r"(?<![\w])(?P<x>\d{1,2}-\d{1,2}-\d{1,3},?[ ]"
            + _TITLE
            + r"(?:[ ,-]{1,2}"
            + _TITLE
            + r"){0,4}(?:,?[ ]\u3012?\d{3}-\d{4})?|\u3012[ ]?\d{3}-\d{4})",
            flags=0,
        ),
        digits=True,
        accept=lambda match, scan: (
            re.match(
                r"\d{1,2}-\d{1,2}-\d{1,3},? (?:At|On|The|We|I|My|Since|And|Monday|Tuesday|Wednesday|Thursday|Friday)\b",
                match["x"],
            )
            is None
            and re.search(r"[A-Z][a-z]+-(?:ku|shi|cho|dori)|,|\u3012", match["x"]) is not None
        ),
        score=0.8,
    ),
    Rule(
        "LOCATION",
        _r(r"(?<![\w.\-])(?P<x>-?\d{1,2}\.\d{4,8},[ ]?-?\d{1,3}\.\d{4,8})(?![\w.])"),
        digits=True,
        score=0.8,
    ),
]

_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_DATE = (
    r"(?:\d{1,4}[./\-]\d{1,2}[./\-]\d{1,4}|\d{1,2}(?:st|nd|rd|th)?(?:[ ]of)?[ ]"
    + _MONTH
    + r",?(?:[ ]\d{2,4})?|"
    + _MONTH
    + r"[ ]\d{1,2}(?:st|nd|rd|th)?,?(?:[ ]\d{4})?|\d{8})"
)

BIRTH = [
    Rule(
        "DATE_OF_BIRTH",
        _r(
            r"\b(?:born(?:[ ]on|[ ]in)?|d\.?o\.?b\.?|date of birth|birth ?dat(?:e|um)|birthday|geb\.|geboren am|n\u00e9e? le)(?:[ ](?:is|was|on|of|as|to|:|in)){0,3}"
            r"[^\S\n]{0,2}[:=(]?[^\S\n]{0,2}(?P<x>" + _DATE + r"|(?:19|20)\d\d)(?![\w])"
        ),
        gate=("born", "dob", "d.o.b", "birth", "geb", "ne le", "nee le"),
        digits=True,
        score=0.9,
    ),
]


# --- handles -----------------------------------------------------------------------------------

_SOCIAL = re.compile(
    r"twitter|\bx\b|telegram|instagram|\binsta\b|discord|slack|github|gitlab|handle|mastodon|linkedin|tiktok|\bdm\b|follow|"
    r"username|nickname|reddit|bluesky|find me|my name|i'?m|i am|threads|skype|signal|wechat|snapchat|tweeted|tweet"
)
_GROUP_HANDLES = frozenset(
    "channel here everyone team all name user username mention mentions me you someone somebody person people assignee media import "
    "param return returns override component types type latest example handle your_name your_handle admin admins support bot".split()
)


def _is_handle(match: re.Match[str], scan: Scan) -> bool:
    value = match["x"][1:].lower()
    if value in _GROUP_HANDLES or scan.after(match.end("x"), 1) == "/" or value in TOOLS:
        return False
    if value in words().common or scan.vendor.name == value:
        return False
    marked = "_" in value or any(char.isdigit() for char in value)
    social = _SOCIAL.search(scan.before(match.start("x"), 40)) is not None
    direct = re.search(
        r"(?:handle|username|nickname|i'?m|i am|twitter|instagram|telegram|dm|follow|tweeted|bluesky|mastodon)(?: (?:me|us|is|at|on|as|handle))*[ :(]*$",
        scan.before(match.start("x"), 40),
    )
    return (marked and social) or direct is not None


HANDLE = [
    Rule(
        "HANDLE",
        _r(r"(?<![\w@/.])(?P<x>@[a-z][\w.\-]{1,38}\w)(?![\w@])"),
        gate=("@",),
        accept=_is_handle,
        score=0.75,
    ),
    Rule(
        "HANDLE",
        _r(
            r"\b(?:skype|telegram|discord|wechat|twitter|instagram|signal)(?:[ ](?:id|name|handle|user(?:name)?))?(?:[ ]is|[ ]?:)[ ](?P<x>[\w.\-:]{3,40}(?:#\d{4})?)"
        ),
        gate=("skype", "telegram", "discord", "wechat", "twitter", "instagram", "signal"),
        accept=lambda match, scan: (
            any(not char.isalpha() for char in match["x"].rstrip(".,:"))
            and not match["x"].startswith("http")
        ),
        score=0.7,
    ),
    Rule(
        "HANDLE",
        _r(r"(?<![\w#])(?P<x>[a-z][\w.]{2,31}#\d{4})(?![\w])"),
        gate=("#",),
        digits=True,
        accept=lambda match, scan: _SOCIAL.search(scan.before(match.start("x"), 40)) is not None,
        score=0.7,
    ),
]


RULES: dict[str, list[Rule]] = {
    "email": EMAIL,
    "url": URL,
    "workspace": WORKSPACE,
    "secret": SECRET,
    "password": PASSWORD,
    "card": CARD,
    "iban": IBAN,
    "wallet": WALLET,
    "ip": IP,
    "mac": MAC,
    "phone": PHONE,
    "government_id": GOVERNMENT_ID,
    "reference": REFERENCE,
    "uuid": UUID,
    "address": ADDRESS,
    "birth": BIRTH,
    "handle": HANDLE,
}
"""Recognizers by name; each is one presidio recognizer of the engine."""
