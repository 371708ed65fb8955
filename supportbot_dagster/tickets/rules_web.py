"""Rules for what stands on the web: mailboxes, addresses, workspaces, handles.

What lives here: the tests that tell the product's own pages from a customer's. What does not: keys
and passwords (:mod:`supportbot_dagster.tickets.rules_secret`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from supportbot_dagster.tickets.rule import (
    PLACEHOLDER_VALUE,
    Accept,
    Rule,
    Scan,
    documented,
    regex,
    value_of,
)
from supportbot_dagster.tickets.tagger import MASK
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import COMMON, THING, word_set, words

# --- e-mail -----------------------------------------------------------------------------------

TLD = (
    r"(?:com|org|net|io|co|dev|app|ai|example|test|invalid|edu|gov|info|biz|me|us|uk|de|fr|es|it|"
    r"nl|be|at|ch|se|no|dk|fi|pl|pt|jp|cn|in|br|ca|au|nz|ie|eu|mx|ar|za|ng|ke|kr|sg|hk|cz|gr|tr|ru|"
    r"tech|cloud|online|store|shop|xyz|agency|studio|design|health|finance|group|team|works)"
)


_PLACEHOLDER_MAIL_HOSTS = word_set(
    "example.com example.org example.net company.com company.tld domain.com domain.tld email.com "
    "yourdomain.com your-domain.com yourcompany.com your-company.com mycompany.com acme.com "
    "test.com mail.com"
)
_SOMEBODY = re.compile(
    r"(?:user|name|you|your[._-]?(?:name|email|address)|me|test|email|mail|address|someone|"
    r"somebody|first[._-]?last|firstname[._-]lastname|foo|bar|username|customer|recipient|"
    r"sender)\d{0,3}(?:\+\w+)?"
)


_OFFICES = word_set(
    "support help helpdesk service security abuse privacy feedback bugs status dpo gdpr noreply "
    "no-reply donotreply do-not-reply notification notifications newsletter mailer mailer-daemon "
    "postmaster customer-service customerservice customercare care"
)
_PUBLISHED = re.compile(
    # what is the addressee's own; "you" or a page alone may be anybody's: "can you reply to ..."
    r"\b(?:your (?:[a-z\-]+ ){0,2}(?:pages?|web ?site|site|blog|docs?|documentation|faq|articles?|"
    r"header|footer)|yours|official|published|"
    r"(?:right|correct|proper|best|wrong) (?:e-?mail |mail )?address|whitelist|allow-?list|"
    r"phishing|legit|genuine)\b"
)
_OURS = re.compile(
    r"\b(?:my|mine|our|ours|us|we|customers?'?s?|clients?'?s?)(?:[ ](?:e-?mail|mail|mailbox|"
    r"address|support|"
    r"shared|team|general|main|own|new|old|inbox|alias|desk|help|helpdesk|is|at|now|to))*[ :,(]*$"
)


def _is_public(match: re.Match[str], scan: Scan) -> bool:
    """Whether the mailbox of an office is spoken of as the addressee's own."""
    before = scan.before(match.start(), 60)
    after = scan.after(match.end(), 60)
    if _OURS.search(before):
        return False
    return _PUBLISHED.search(before) is not None or _PUBLISHED.search(after) is not None


def _foreign_mail(match: re.Match[str], scan: Scan) -> bool:
    address = re.sub(r"\s", "", value_of(match)).lower()
    local, _, host = address.partition("@")
    if local in _OFFICES and _is_public(match, scan):
        return False
    if host in _PLACEHOLDER_MAIL_HOSTS and (_SOMEBODY.fullmatch(local) or scan.speaks_of_docs):
        return False
    return address not in scan.vendor.emails and not address.startswith("git@")


_SPOKEN_AT = r"(?:\(at\)|\[at\]|\{at\}|<at>|\bat\b|@)"
_SPOKEN_DOT = r"(?:\(dot\)|\[dot\]|\{dot\}|<dot>|\bdot\b|\bpunkt\b|\.)"

EMAIL = [
    Rule(
        "EMAIL",
        regex(
            r"(?<![\w.+%-])(?:mailto:)?(?P<x>[\w.+%'\-]{1,64}@"
            r"(?:[\w\-]{1,63}\.){1,5}[^\W\d_]{2,24})"
            r"(?![\w@])"
        ),
        gate=("@",),
        marks=regex("@"),
        accept=_foreign_mail,
        score=0.95,
    ),
    Rule(
        "EMAIL",
        regex(
            r"(?<![\w.])(?P<x>[a-z][\w+\-]{0,40}(?:[ ]?(?:\.|\bdot\b|\(dot\)|\[dot\]|\bpunkt\b|"
            r"\bunderscore\b)[ ]?[\w\-]{1,30}){0,3}[ ]?" + _SPOKEN_AT + r"[ ]?[\w\-]{2,40}"
            r"(?:[ ]?"
            + _SPOKEN_DOT
            + r"[ ]?[\w\-]{2,30}){0,2}[ ]?(?:\(dot\)|\[dot\]|\{dot\}|<dot>|"
            r"\bdot\b|\bpunkt\b)[ ]?" + TLD + r")\b"
        ),
        gate=(" dot ", "(dot)", "[dot]", "{dot}", "<dot>", " punkt "),
        score=0.93,
    ),
    Rule(
        "EMAIL",
        regex(
            r"(?<![\w.])(?P<x>[a-z][\w.+\-]{0,40}[ ]?(?:\(at\)|\[at\]|\{at\}|<at>|[ ]@[ ]|[ ]@|"
            r"@[ ])"
            r"[ ]?(?:[\w\-]{2,40}[ ]?\.[ ]?){1,3}" + TLD + r")\b"
        ),
        gate=("(at)", "[at]", "{at}", "<at>", " @", "@ "),
        score=0.93,
    ),
]


# --- web addresses, workspaces -----------------------------------------------------------------

_FEATURE_PATHS = word_set(
    "new login signin sign-in signup sign-up logout settings preferences join invite oauth api "
    "auth download downloads help import inbox home search your-workspace your-company "
    "yourworkspace yourcompany workspace-url workspace workspace-name my-workspace myworkspace "
    "team yourteam your-team slug url name example acme-example mobile desktop status pricing docs"
)
_PUBLIC_SUBDOMAINS = word_set(
    "www docs doc help support status app api security community changelog blog cdn auth login "
    "static assets go hooks webhooks mail dev developers developer legal trust academy web "
    "your-workspace yourworkspace workspace subdomain yourcompany your-company"
)
_HELP_SUBDOMAINS = word_set(
    "docs doc help support status community changelog developers developer learn academy kb faq "
    "knowledge"
)
_PUBLIC_HOSTS = word_set(
    "slack.com github.com gitlab.com bitbucket.org atlassian.com atlassian.net figma.com miro.com "
    "loom.com google.com microsoft.com apple.com okta.com youtube.com asana.com trello.com "
    "monday.com zapier.com notion.so linear.app zoom.us dropbox.com stripe.com cloudflare.com "
    "mozilla.org w3.org ietf.org wikipedia.org stackoverflow.com npmjs.com pypi.org python.org "
    "nodejs.org graphql.org json.org draw.io diagrams.net twitter.com x.com linkedin.com "
    "discord.com gmail.com outlook.com icloud.com yahoo.com hotmail.com live.com googleapis.com "
    "gstatic.com amazonaws.com salesforce.com hubspot.com zendesk.com intercom.com airtable.com "
    "clickup.com shortcut.com jetbrains.com postman.com docker.com kubernetes.io letsencrypt.org "
    "openai.com"
)
_PUBLIC_PATHS = word_set(
    "help docs doc support pricing status blog developers developer api legal terms privacy "
    "features about login signin download downloads apps settings intl en en-us guides learn "
    "changelog hc"
)
_PLACEHOLDER_HOSTS = word_set(
    "example.com example.org example.net localhost your-domain.com yourdomain.com domain.com "
    "yourcompany.com your-company.com company.com mycompany.com yourserver.com"
)
_NAMES_WITH_A_DOT = word_set(
    "node.js next.js vue.js react.js nuxt.js express.js three.js d3.js discord.js asp.net vb.net "
    "ado.net socket.io draw.io booking.com monday.com make.com cal.com fly.io notion.so zoom.us "
    "readme.io visual.studio e.g.it i.e.it"
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


def _host_and_path(url: str) -> tuple[str, str]:
    rest = re.sub(r"^[a-z][a-z+.\-]{1,12}://", "", url, flags=re.IGNORECASE)
    rest = rest.split("@", 1)[-1] if "@" in rest.split("/", 1)[0] else rest
    cut = re.search(r"[/?#]", rest)
    host, path = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    return host.split(":")[0].lower().removeprefix("www."), path


def _carries_secret(url: str) -> bool:
    if _SECRET_HOOK.search(url):
        return True
    return any(not PLACEHOLDER_VALUE.match(m["v"]) for m in _SECRET_QUERY.finditer(url))


def _kind_of_url(url: str, scan: Scan) -> str:
    """What a web address is: ``secret``, ``signed``, ``workspace``, ``foreign`` or ``public``."""
    host, path = _host_and_path(url.rstrip(_URL_END))
    if re.search(r"://[^/\s@:]{1,60}:[^/\s@]{1,100}@", url):
        return "public" if PLACEHOLDER_VALUE.match(url.split(":")[2].split("@")[0]) else "secret"
    bare = host.removeprefix("www.")
    placeholder = bare in _PLACEHOLDER_HOSTS or host.startswith(("127.", "0.0.0.0", "[::1"))
    if _carries_secret(url) and not placeholder:
        return "secret" if _SECRET_HOOK.search(url) else "signed"
    if scan.vendor.owns_host(host):
        return _kind_of_vendor_url(host, path, scan.vendor)
    if placeholder or "<" in host or "{" in host or host.endswith((".example.com", ".example.org")):
        return "public"
    registrable = ".".join(host.split(".")[-2:])
    if registrable in _PUBLIC_HOSTS:
        first = path.strip("/").split("/")[0].lower()
        plain = (
            not path.strip("/?#")
            or first in _PUBLIC_PATHS
            or host.split(".")[0] in _PUBLIC_SUBDOMAINS - {"app", "dev"}
        )
        tenant = host != registrable and host.split(".")[0] not in _PUBLIC_SUBDOMAINS
        tenant = tenant and registrable in {"atlassian.net", "okta.com", "slack.com", "zendesk.com"}
        return "public" if plain and not tenant else "foreign"
    # another maker's help and status pages are nobody's data; a bare host may be one's own
    helps = host.split(".")[0] in _HELP_SUBDOMAINS and host.count(".") >= 2 and "://" in url
    return "public" if helps else "foreign"


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
        return _kind_of_url(value_of(match), scan) in kinds

    return accept


_PAGE_BEFORE = re.compile(
    r"\b(?:your |the )?(?:satus|status|help|support|docs?|documentation|community|knowledge base) ?"
    r"(?:pages?|cent(?:er|re)|site|portal|forum)? (?:at|on|under|is|of) \(?$"
)


def _bare_is(*kinds: str) -> Accept:
    def accept(match: re.Match[str], scan: Scan) -> bool:
        value = value_of(match)
        host = value.split("/")[0].lower()
        if host in _NAMES_WITH_A_DOT or scan.text[match.start() - 1 : match.start()] == "@":
            return False
        labels = host.split(".")
        if labels[0] in _HELP_SUBDOMAINS and _PAGE_BEFORE.search(scan.before(match.start(), 30)):
            return False  # "the status page at status.acme.com"
        if "/" not in value and len(labels) == 2 and len(labels[0]) == 1 and labels[0] != "x":
            return False  # e.at: an attribute
        if any(label.startswith(("your", "mycompany", "<")) for label in labels):
            return False
        # "done.It", "page.me": a sentence without its space, not a host
        first, _, last = host.rpartition(".")
        lowered = value.rpartition(".")[2] == last
        if "/" not in value and not lowered and not scan.vendor.owns_host(host.split(":")[0]):
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


_URL = (
    r"(?<![\w@])(?P<x>(?:https?|wss?|ftp)://[^\s<>\"'|"
    r"]{3,2000}?)(?=[.,;:!?)\]}>\"'*_]*(?:[\s<>\"'|]|$))"
)
_BARE = (
    r"(?<![\w@./:\-])(?P<x>(?:[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?\.){1,4}"
    + TLD
    + r"(?::\d{2,5})?(?:/[^\s<>\"'|]{0,500}?)?)(?=[.,;:!?)\]}>\"'*_]*(?:[\s<>\"'|]|$))"
)
_DOT = regex(r"\.(?=[a-z])")

URL = [
    Rule("SECRET", regex(_URL), shared=True, gate=("://",), accept=_url_is("secret"), score=0.97),
    Rule(
        "URL",
        regex(_URL),
        shared=True,
        gate=("://",),
        accept=_url_is("signed", "foreign"),
        score=0.92,
    ),
    Rule(
        "URL",
        regex(_BARE),
        shared=True,
        needs=frozenset({"host"}),
        marks=_DOT,
        accept=_bare_is("signed", "foreign"),
        score=0.6,
    ),
    Rule(
        "SECRET",
        regex(_BARE),
        shared=True,
        needs=frozenset({"host"}),
        marks=_DOT,
        accept=_bare_is("secret"),
        score=0.96,
    ),
]


def customers_urls(
    scan: Scan, pieces: Sequence[tuple[str, int, int]]
) -> Iterator[tuple[str, int, int]]:
    """The URLs that go as a whole because a piece of them goes: entity, start and end.

    What is left of such a URL may be its owner's name: the label beside a hidden host, the folder
    below it. URLs of the vendor's docs and of other public pages lose the piece alone, and so does
    one of which only a token or somebody's mailbox is hidden.

    Args:
        scan: a text.
        pieces: entity, start and end of what is personal in it, in any order.
    """
    if not pieces:
        return
    any_piece = _reaching([(start, end) for _, start, end in pieces])
    owners = _reaching([(start, end) for entity, start, end in pieces if entity in _OWNERS])
    for rule in (URL[0], URL[2]):
        if not (rule.gate and rule.gate[0] in scan.lower) and not rule.needs & scan.features:
            continue
        for match in rule.shared_matches(scan):
            start, end = match.span("x")
            value = match["x"]
            # untouched, gone already, or redacted before
            if any_piece(end) <= start or any_piece(start + 1) >= end or MASK in value:
                continue
            host, path = _host_and_path(value)
            if scan.vendor.owns_host(host):
                if _kind_of_vendor_url(host, path, scan.vendor) == "workspace":
                    yield "WORKSPACE_URL", start, end
                continue
            if not rule.gate and not _is_surely_host(value):
                continue
            kind = _kind_of_url(value, scan)
            host_end = start + value.lower().find(host) + len(host)
            if any_piece(host_end) > start or (kind != "public" and owners(end) > start):
                yield "SECRET" if kind == "secret" else "URL", start, end


_OWNERS = frozenset({"COMPANY", "URL", "WORKSPACE_URL"})
"""Entities of which a piece shows that the URL is a customer's own."""


def _reaching(spans: Sequence[tuple[int, int]]) -> Callable[[int], int]:
    """How far the spans reach that start before a position, -1 where none does."""
    ordered = sorted(spans)
    starts = [start for start, _ in ordered]
    reach = [-1, *accumulate((end for _, end in ordered), max)]
    return lambda position: reach[bisect_left(starts, position)]


def _is_surely_host(value: str) -> bool:
    """Whether an address without a scheme is one, and no sentence that lacks its space."""
    host = value.split("/")[0]
    return host not in _NAMES_WITH_A_DOT and (
        "/" in value or host.count(".") > 1 or "-" in host.split(".")[0]
    )


WORKSPACE = [
    Rule(
        "WORKSPACE_URL",
        regex(_URL),
        shared=True,
        gate=("://",),
        accept=_url_is("workspace"),
        score=0.96,
    ),
    Rule(
        "WORKSPACE_URL",
        regex(_BARE),
        shared=True,
        needs=frozenset({"host"}),
        marks=_DOT,
        accept=_bare_is("workspace"),
        score=0.96,
    ),
]


# --- handles -----------------------------------------------------------------------------------

_SOCIAL = re.compile(
    r"twitter|\bx\b|telegram|instagram|\binsta\b|discord|slack|github|gitlab|handle|mastodon|"
    r"linkedin|tiktok|\bdm\b|follow|"
    r"username|nickname|reddit|bluesky|find me|my name|i'?m|i am|threads|skype|signal|wechat|"
    r"snapchat|tweeted|tweet"
)
_GROUP_HANDLES = word_set(
    "channel here everyone team all name user username mention mentions me you someone somebody "
    "person people assignee media import param return returns override component types type latest "
    "example handle your_name your_handle admin admins support bot"
)


def _is_handle(match: re.Match[str], scan: Scan) -> bool:
    value = match["x"][1:].lower()
    if value in _GROUP_HANDLES or scan.after(match.end("x"), 1) == "/" or value in words().tools:
        return False
    if value in words().common or scan.vendor.name == value:
        return False
    marked = "_" in value or any(char.isdigit() for char in value)
    if documented(scan, match.start("x"), match.end("x")):
        return False
    around = scan.text[max(0, match.start("x") - 2) : match.end("x") + 2]
    if (
        "_" in value or ("." in value and not value.endswith((".js", ".ts", ".py")))
    ) and not re.search(r"[(){}\[\]=;<>`]", around):
        return True
    social = _SOCIAL.search(scan.before(match.start("x"), 40)) is not None
    direct = re.search(
        r"(?:handle|username|nickname|i'?m|i am|twitter|instagram|telegram|dm|follow|tweeted|"
        r"bluesky|mastodon)(?: (?:me|us|is|at|on|as|handle))*[ :(]*$",
        scan.before(match.start("x"), 40),
    )
    if (marked and social) or direct is not None:
        return True
    # "thanks to @bluepenny": a word of nobody's vocabulary, in a sentence and not in code
    mentioned = scan.before(match.start("x"), 1) in {"", " ", "("} and not re.search(
        r"[(){}\[\]=;<>`\"/]", scan.text[match.end("x") : match.end("x") + 2].replace(")", "")
    )
    own_line = scan.before(match.start("x"), 200).rpartition("\n")[2].strip() == ""
    parts = [part for part in re.split(r"[-\d]+", value) if part]
    unknown = any(not words().kind(part) & (COMMON | THING) for part in parts)
    return mentioned and unknown and not (own_line and not social) and len(value) > 3


HANDLE = [
    Rule(
        "HANDLE",
        regex(r"(?<![\w@/.])(?P<x>@[a-z][\w.\-]{1,38}\w)(?![\w@])"),
        gate=("@",),
        starts=regex("@"),
        accept=_is_handle,
        score=0.75,
    ),
]
