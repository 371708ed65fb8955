"""Word lists and the length-preserving folding of text that all redaction rules share.

What lives here: which words are ordinary vocabulary, which are given names, which name a tool,
and the two shadows of a text (punctuation normalised; accents folded as well). What does not:
any decision about a text; that is made in :mod:`supportbot_dagster.tickets.rules` and
:mod:`supportbot_dagster.tickets.persons`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u00ad\ufeff]")

_PUNCTUATION = {
    **{ord(char): " " for char in "\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000\t"},
    **{ord(char): "-" for char in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d"},
    **{ord(char): "'" for char in "\u2018\u2019\u201b\u02bc\u00b4`"},
    **{ord(char): '"' for char in "\u201c\u201d\u201e\u00ab\u00bb"},
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if code != 0xFF0D},
}


def _fold_table() -> dict[int, str]:
    table = dict(_PUNCTUATION)
    ranges = (range(0x00C0, 0x0250), range(0x1E00, 0x1F00))
    special = {"ø": "o", "ł": "l", "đ": "d", "ı": "i", "ß": "s", "æ": "e", "œ": "e", "þ": "t"}
    for code in (code for span in ranges for code in span):
        base = unicodedata.normalize("NFD", chr(code))[0].lower()
        table[code] = special.get(base, base)[0]
    table.update({code: chr(code).lower() for code in range(ord("A"), ord("Z") + 1)})
    return table


_FOLD = _fold_table()


def word_set(text: str) -> frozenset[str]:
    """The words of a text, for lists that are read better as a text."""
    return frozenset(text.split())


PARTICLES = word_set(
    "de del della der den des di do dos du da das el al bin ben ibn la las le les lo los van von "
    "ter ten te zu zum zur san st saint mc mac abu af av y e i o"
)

TOOLS = word_set(
    "slack github gitlab bitbucket jira confluence trello asana linear notion figma miro loom zoom "
    "google gmail outlook microsoft office excel word teams azure entra okta auth0 onelogin duo "
    "authy apple safari chrome chromium firefox edge opera brave arc vivaldi mac macos macbook "
    "iphone ipad ipados imac ios android windows linux ubuntu debian fedora samsung pixel "
    "youtube vimeo dropbox onedrive drive sharepoint zapier ifttt make n8n jenkins travis circleci "
    "docker kubernetes aws amazon heroku vercel netlify cloudflare sentry datadog grafana "
    "pagerduty "
    "opsgenie intercom zendesk freshdesk hubspot salesforce stripe paypal xero quickbooks shopify "
    "wordpress webflow airtable monday clickup basecamp wrike smartsheet shortcut todoist "
    "discord telegram whatsapp signal skype webex facebook instagram twitter linkedin reddit "
    "mastodon tiktok python java javascript typescript node react angular vue svelte rust ruby "
    "rails django php laravel kotlin dart flutter golang graphql rest json xml yaml csv pdf "
    "html css sql postgres postgresql mysql mongo mongodb redis elasticsearch kafka terraform "
    "ansible puppet chef vagrant vscode intellij pycharm xcode eclipse emacs vim cursor copilot "
    "chatgpt openai claude gemini alexa cortana bing edge saml scim sso oauth ldap kanban "
    "scrum gantt fibonacci pareto eisenhower markdown latex unicode bluetooth wifi ethernet "
    "visa mastercard amex sepa iban bitcoin ethereum "
    "english german french spanish italian japanese chinese portuguese dutch polish korean "
    "european american british canadian australian indian "
    "america europe asia africa germany france spain italy england britain ireland scotland wales "
    "portugal netherlands belgium austria switzerland sweden norway denmark finland poland "
    "canada mexico brazil argentina chile japan china india korea australia frankfurt london "
    "paris berlin tokyo york dublin amsterdam madrid easter christmas utc gmt cet cest est edt "
    "pst pdt usa uk eu us "
    "monday tuesday wednesday thursday friday saturday sunday january february march april may "
    "june july august september october november december"
)


@dataclass(frozen=True)
class Words:
    """The word lists, folded.

    Args:
        common: ordinary vocabulary; a capital letter alone does not make a name of these.
        given_names: first names that are not ordinary words.
        ambiguous_names: first names that are ordinary words as well.
    """

    common: frozenset[str]
    given_names: frozenset[str]
    ambiguous_names: frozenset[str]


@cache
def words() -> Words:
    """The lists of this package, read once."""
    folder = Path(__file__).parent
    common = frozenset(_read(folder / "common_words.txt"))
    entries = _read(folder / "first_names.txt")
    names = {entry.rstrip("*") for entry in entries}
    ambiguous = {entry.rstrip("*") for entry in entries if entry.endswith("*")}
    ambiguous |= names & (common | TOOLS)
    return Words(common, frozenset(names - ambiguous), frozenset(ambiguous))


def strip_invisible(text: str) -> str:
    """``text`` without zero-width characters and bidirectional marks, which hide data in words."""
    return _INVISIBLE.sub("", text)


def shadow(text: str) -> str:
    """``text`` with typographic spaces, hyphens, quotes and full-width forms as ASCII.

    The length stays the same, so that a position in the shadow is one in the text.
    """
    return text.translate(_PUNCTUATION)


def fold(text: str) -> str:
    """The shadow in lower case without accents, of the same length as ``text``."""
    if text.isascii():
        return text.replace("\t", " ").lower()
    return text.translate(_FOLD)


def _read(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]
