"""robots.txt (RFC 9309): what a crawler may request.

What lives here: parsing and matching. What does not: fetching the file. The standard library's
parser knows no wildcards and takes the first rule instead of the longest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit


@dataclass
class Robots:
    """The rules of one robots.txt for one crawler.

    Attributes:
        rules: pairs of a path pattern and whether it allows.
        sitemaps: addresses of the ``Sitemap`` lines, as written.
        delay: seconds between requests that the site asks for; 0 for none.
    """

    rules: list[tuple[str, bool]] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)
    delay: float = 0.0

    def allows(self, url: str) -> bool:
        """Whether the address may be requested: the longest matching rule wins, then Allow."""
        parts = urlsplit(url)
        target = _plain(parts.path or "/") + (f"?{_plain(parts.query)}" if parts.query else "")
        best = (-1, True)
        for pattern, allowed in self.rules:
            if _matches(pattern, target):
                best = max(best, (len(pattern), allowed))
        return best[1]


def parse_robots(text: str, agent: str) -> Robots:
    """The rules for ``agent`` (a product name such as "supportbot-dagster"), else those for "*"."""
    robots = Robots()
    groups: list[tuple[list[str], list[tuple[str, str]]]] = []
    after_rule = True
    for line in text.lstrip("\ufeff").splitlines():
        key, colon, value = line.split("#", 1)[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "sitemap":
            robots.sitemaps.append(value)
        elif key == "user-agent":
            if after_rule:
                groups.append(([], []))
            groups[-1][0].append(value.lower())
            after_rule = False
        elif key in {"allow", "disallow", "crawl-delay"} and groups:
            groups[-1][1].append((key, value))
            after_rule = True
    name = agent.lower()
    own = [
        rules
        for names, rules in groups
        if any(n != "*" and n and name.startswith(n.partition("/")[0]) for n in names)
    ]
    common = [rules for names, rules in groups if "*" in names]
    for rules in own or common:
        for key, value in rules:
            if key == "crawl-delay":
                if re.fullmatch(r"\d+(\.\d+)?", value):
                    robots.delay = max(robots.delay, float(value))
            elif value:
                robots.rules.append((_plain(value), key == "allow"))
    return robots


def _plain(path: str) -> str:
    """Escapes in one form, so that ``/a%62`` and ``/ab`` are compared as equal."""
    return quote(unquote(path), safe="/*$?=&:;,+!'()@~")


def _matches(pattern: str, target: str) -> bool:
    ends = pattern.endswith("$")
    pieces = (pattern[:-1] if ends else pattern).split("*")
    position = 0
    for number, piece in enumerate(pieces):
        if number == 0:
            if not target.startswith(piece):
                return False
            position = len(piece)
        elif ends and number == len(pieces) - 1:
            return len(target) - len(piece) >= position and target.endswith(piece)
        else:
            found = target.find(piece, position)
            if found < 0:
                return False
            position = found + len(piece)
    return not ends or position == len(target)
