"""Companies' names that context gives away.

What lives here: legal forms, introductions ("Dana from X"), signatures, mail hosts. What does not:
companies known beforehand (:mod:`supportbot_dagster.tickets.known`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from supportbot_dagster.tickets.known import GENERIC_WORDS, LEGAL_FORMS, PUBLIC_MAIL_HOSTS
from supportbot_dagster.tickets.persons import (
    CLOSING_LINE,
    NOT_NAMES,
    SAME_LINE_CLOSE,
    Span,
    lines_of,
    signature_block,
    take_name,
)
from supportbot_dagster.tickets.rule import Scan
from supportbot_dagster.tickets.words import TOOLS, word_set, words

_JOB_WORDS = word_set(
    "head director manager engineer developer lead officer ceo cto cfo coo founder co-founder "
    "ops operations product "
    "marketing sales support designer design analyst consultant assistant coordinator senior "
    "junior vp vice president "
    "chief of technology software it admin administrator owner hr people team engineering "
    "customer success account "
    "executive specialist project program programme and the for devops qa tester architect data "
    "scientist intern "
    "principal staff partner managing general office finance accounting research communications "
    "content strategy "
    "brand growth community platform infrastructure security mobile web frontend backend full "
    "stack sr jr she he they her him them tel phone mobile"
)
_CAP = r"(?:[A-Z0-9\u00c0-\u00de][\w'\u2019&+\-]*)"
_WITH_SUFFIX = re.compile(
    r"(?<![\w>])(?P<x>"
    + _CAP
    + r"(?:[ ](?:&[ ]|and[ ]|of[ ]|de[ ])?"
    + _CAP
    + r"){0,4},?[ ](?:Inc|LLC|Ltd|GmbH|AG|SAS|SARL|BV|B\.V|NV|N\.V|Pty(?: Ltd)?|PLC|plc|Corp|"
    r"Corporation|Limited|Oy|AB|ApS|A/S|KK|K\.K|Srl|S\.r\.l|SpA|S\.p\.A|S\.A|S\.L|Lda|LLP|Kft|"
    r"sp\. z o\.o|Pvt\.? Ltd|KG|UG|e\.V)\b\.?)"
)
_COMPANY_PLACES = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), lower)
    for pattern, lower in (
        (r"\b(?:this is|i'?m|i am|my name is|my name'?s|it'?s|here is|"
        r"here's)\b[^.\n!?>]{1,40}?,? (?:from|at|with|of|@|working (?:at|for)) (?:the )?", True),
        (r"(?:^|[\n.!?,] {0,2})[^\W\d_]+(?: [^\W\d_]+)? (?:here|speaking),? (?:from|at|with) "
        r"(?:the )?", True),
        (r"(?:^|\s)[-~/]{1,2} ?[^\W\d_]+(?: [^\W\d_]+){0,2},? (?:from|at|@) ", True),
        (r"\b(?:started|start|joined|joining|employed|hired) (?:at|by|with) ", False),
        (r"\b(?:took over|acquired by|bought by|taken over by|joined|merged with|owned by|"
        r"subsidiary of) (?:the )?", False),
        (r"\b(?:i|we|who|he|she|they) (?:work|works|worked|working|consult) (?:at|for|with) "
        r"(?:the )?", False),
        (r"\bon behalf of (?:the )?", True),
        (r"\b(?:our|my|the|their) (?:company|firm|start-?up|agency|employer|organi[sz]ation|"
        r"business|studio|school|university|clinic|practice|charity|client|customer|parent "
        r"company|legal entity)(?: name)?(?:,| is called| is named| is| called| named| name is| "
        r"name:|:){0,2} ", False),
        (r"\b(?:company|organi[sz]ation|business|firm|employer|legal|billing|org) ?(?:name|"
        r"entity)?[ ]?: ", False),
        (r"\b(?:company|organi[sz]ation|business|legal|billing|workspace|team) name (?:is|from|"
        r"to|should be|reads|says|was|on the invoice is) (?:\"|')?", False),
        (r"\b(?:all of us|we|us|people|folks|team|everyone|everybody|colleagues|someone|work|"
        r"here|over|engineers?|developers?|admin|office|contractors?|consultant|employees?|"
        r"manager|lead|head of \w+|director) (?:here )?at (?:the )?", False),
        (r"\b(?:invoice|bill|billed|made out|contract|registered|addressed) (?:to|for|with|"
        r"under) (?:the )?", False),
        (r"\bwe(?:'re| are) (?:called |at |from )?(?!on\b|in\b)[\"']?", False),
        (r"\b(?:renamed|rebranded|rebranding|merged|acquired|bought|changed(?: our name)?)(?: "
        r"the company| ourselves)? (?:from|to|as|by|with|into) (?=[A-Z])", False),
        (r"\bfrom (?=[^\W\d_]+(?: [^\W\d_]+)?,? (?:again|here)\b)", True),
    )
)  # fmt: skip
_THE_X_TEAM = re.compile(
    r"\b(?:[Tt]he|[Oo]ur|[Yy]our|[Aa]n?) (?:(?P<x>[A-Z][a-z]+(?: [A-Z][a-z]+)?) (?:team|office|"
    r"account|workspace)|"
    r"(?P<y>[a-z][\w\-]{3,30}) workspace)\b"
)
_SIGNATURE_SPLIT = re.compile(r"[|,\u2022\u00b7@]| - | at | / | from ")
_MAIL_HOST = re.compile(r"(?<![\w.])@(?P<x>(?:[\w\-]{1,63}\.){1,4}[^\W\d_]{2,24})(?![\w/])")


def _take_company(scan: Scan, start: int, *, lower: bool) -> int | None:
    lists = words()
    tokens: list[tuple[str, int]] = []
    position = start
    while len(tokens) < 5:
        match = re.compile(r"[\w\u00c0-\u024f](?:[\w&+]|['.\-](?=\w))*").match(scan.text, position)
        if match is None:
            break
        word = match[0]
        joins = (
            bool(tokens)
            and word.lower() in {"and", "of", "de"}
            and scan.text[match.end() + 1 : match.end() + 2].isupper()
        )
        if not (
            word[0].isupper()
            or (word[0].isdigit() and len(word) > 1 and not word.isdigit())
            or joins
        ):
            break
        tokens.append(
            (
                scan.lower[match.start() : match.end()].removesuffix("'s"),
                match.end() - 2 * word.endswith("'s"),
            )
        )
        gap = re.compile(r" (?:& )?(?=\w)").match(scan.text, match.end())
        if gap is None:
            break
        position = gap.end()
    while tokens and tokens[-1][0] in {"and", "of", "de"}:
        tokens.pop()
    if not tokens:
        match = re.compile(r"[^\W_](?:[^\W_]|[\-](?=\w)){2,30}").match(scan.lower, start)
        if (
            lower
            and match
            and match[0] not in lists.common
            and match[0] not in TOOLS
            and match[0] not in scan.vendor.tools
        ):
            parts = match[0].split("-")
            unknown = (
                not all(part in lists.common for part in parts)
                and match[0] not in lists.given_names
            )
            if match[0] != scan.vendor.name and match[0] not in NOT_NAMES and unknown:
                return match.end()
        return None
    if (
        tokens[0][0] in TOOLS
        or tokens[0][0] in scan.vendor.tools
        or tokens[0][0] == scan.vendor.name
    ):
        return None
    if scan.text[tokens[-1][1] :].lstrip(" ").startswith(">"):
        return None
    if len(tokens) == 1 or all(token in _JOB_WORDS for token, _ in tokens):
        word = tokens[0][0]
        if word in lists.common or word in lists.given_names or word in NOT_NAMES or len(word) < 2:
            return None
        if "+" in word or (len(word) <= 3 and scan.text[start : start + len(word)].isupper()):
            return None  # a shortcut, a team key, a job's initials
    if not lower and all(token in lists.common for token, _ in tokens):
        return None
    if all(token in lists.common for token, _ in tokens) and tokens[0][0] in NOT_NAMES | {
        "settings",
        "preferences",
        "team",
    }:
        return None
    return tokens[-1][1]


def companies(scan: Scan) -> Iterator[Span]:
    """Positions of companies' names that nobody told of beforehand."""
    for match in _WITH_SUFFIX.finditer(scan.text):
        start = match.start("x")
        first = re.match(r"[\w'&]+ ", scan.text[start:])
        # "For Acme Ltd": the sentence's first word is none of the name
        while (
            first
            and scan.lower[start : start + first.end() - 1] in _LEADING
            and len(match["x"].split()) > 2
        ):
            start += first.end()
            first = re.match(r"[\w'&]+ ", scan.text[start:])
        yield start, match.end("x")
    for pattern, lower in _COMPANY_PLACES:
        for match in pattern.finditer(scan.text):
            end = _take_company(scan, match.end(), lower=lower)
            if end is not None:
                yield match.end(), end
    lists = words()
    for match in _THE_X_TEAM.finditer(scan.text):
        group = "x" if match["x"] else "y"
        head, *others = scan.lower[match.start(group) : match.end(group)].split()
        if all(part in lists.common for part in head.split("-")):
            continue
        known = lists.common | TOOLS | scan.vendor.tools | {scan.vendor.name}
        if (
            head not in known
            and head not in lists.given_names
            and not any(w in known for w in others)
        ):
            yield match.span(group)
    yield from _signature_companies(scan)


_LEADING = word_set(
    "for from to at with by our we the my is and this that company of on in please use hi hello "
    "it's"
)


def _signature_companies(scan: Scan) -> Iterator[Span]:
    lines = lines_of(scan)
    block = signature_block(scan, lines)
    if block:
        for start, end in block[1]:
            lead = re.match(
                r"[ ]?[,|(/@\u2022\u00b7-]+[ ]?| (?:from|at|with|of) |", scan.text[start:end]
            )
            yield from _segments(scan, start + (lead.end() if lead else 0), end)
    for index, (start, end) in enumerate(lines[:-1]):
        same_line = SAME_LINE_CLOSE.search(scan.text[start:end])
        if not (CLOSING_LINE.match(scan.text[start:end]) or same_line):
            continue
        first = index + 1 if same_line else index + 2
        if not same_line and index + 1 < len(lines):
            named = take_name(scan, lines[index + 1][0], lower="any", strong=True)
            if named is None:
                continue
            rest = re.match(r"[ ]?[,|(/@\-]+[ ]?| (?:from|at|with) ", scan.text[named:])
            if rest:
                yield from _segments(scan, named + rest.end(), lines[index + 1][1])
        for line_start, line_end in lines[first : first + 5]:
            if line_end - line_start > 70:
                break
            yield from _segments(scan, line_start, line_end)


def _segments(scan: Scan, start: int, end: int) -> Iterator[Span]:
    position = start
    for part in [*_SIGNATURE_SPLIT.finditer(scan.text, start, end), None]:
        stop = part.start() if part else end
        text = scan.text[position:stop]
        begin = position + len(text) - len(text.lstrip())
        finish = _take_company(scan, begin, lower=False)
        tokens = re.findall(r"[^\W\d_]+", scan.lower[begin:stop])
        job = any(token in _JOB_WORDS for token in tokens) and len(tokens) <= 4
        legal = bool(tokens) and tokens[-1] in LEGAL_FORMS | GENERIC_WORDS
        name = bool(tokens) and (len(tokens) > 1 or tokens[0] not in words().common)
        if finish is not None and finish >= stop - 2 and name and (not job or legal):
            yield begin, finish
        position = part.end() if part else end


def mail_hosts(scan: Scan) -> Iterator[Span]:
    """Positions of hosts written as ``@acme.example``, the mail domain of a customer."""
    if "@" not in scan.text:
        return
    for match in _MAIL_HOST.finditer(scan.text):
        host = match["x"].lower()
        if (
            not scan.vendor.owns_host(host)
            and host not in PUBLIC_MAIL_HOSTS
            and host != "example.com"
        ):
            yield match.span("x")
