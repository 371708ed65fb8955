"""Names that a ticket is known to hold: its people, their companies, mailboxes and domains.

What lives here: :class:`Known`, what of it is the vendor's own, and the index that finds known
names in any case, with or without accents, and tells "Mark" from "mark". What does not: names that
only context gives away (:mod:`supportbot_dagster.tickets.tagger`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from supportbot_dagster.tickets.rule import Scan
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import (
    PARTICLES,
    fold,
    shadow,
    strip_invisible,
    word_set,
    words,
)

Span = tuple[int, int]

_TOKEN = re.compile(r"[^\W_]+")
LEGAL_FORMS = word_set(
    "inc llc ltd limited gmbh ag sa sas sarl bv nv pty plc corp corporation co company kg ug se oy "
    "ab as aps kk srl spa sl lda llp kft pvt oyj ltda eurl mbh ohg"
)
GENERIC_WORDS = word_set(
    "labs lab group studio studios technologies technology tech software systems solutions "
    "services digital media consulting consultants partners ventures holdings international global "
    "industries agency works collective foundation institute university college school clinic "
    "logistics freight energy health healthcare medical foods analytics robotics design designs "
    "team the and of for bank capital finance insurance games interactive networks network"
)


@dataclass(frozen=True)
class Known:
    """Names and addresses known to belong to a ticket.

    Args:
        names: persons, as written in the help desk ("Dana Whitfield").
        companies: companies of the persons ("Northpeak Labs").
        emails: mailboxes; the part before the @ counts as a name, the host as a domain unless it
            is the vendor's or a public mail host.
        domains: hosts of the customer ("northpeak.example").
        secrets: passwords and keys, to be found where nothing announces them.
    """

    names: tuple[str, ...] = ()
    companies: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is known."""
        return not (self.names or self.companies or self.emails or self.domains or self.secrets)


PUBLIC_MAIL_HOSTS = word_set(
    "gmail.com googlemail.com outlook.com hotmail.com yahoo.com icloud.com live.com gmx.de gmx.net "
    "web.de proton.me protonmail.com aol.com me.com msn.com mail.com"
)
_ROLE_MAILBOXES = word_set(
    "info support help admin sales contact hello office team billing accounts accounting noreply "
    "no-reply mail it dev ops hr finance security webmaster postmaster owner member guest user "
    "customer service reception shop orders bookings enquiries"
)


@cache
def _case_table() -> dict[int, str]:
    """Small letters for the capitals of scripts other than Latin, one for one."""
    table: dict[int, str] = {}
    for code in (code for span in _CASED for code in span):
        small = chr(code).lower()
        if _GREEK.match(small):
            small = unicodedata.normalize("NFD", small)[0]  # capitals are written without accents
        if len(small) == 1 and small != chr(code):
            table[code] = small
    return table | {ord("\u03c2"): "\u03c3", ord("\u0451"): "\u0435", ord("\u0401"): "\u0435"}


_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")
# Greek, Cyrillic and Armenian; Georgian; Cherokee; Georgian capitals; Greek with accents;
# Glagolitic, Coptic and old Georgian; more Cyrillic
_CASED = (
    range(0x0370, 0x0590),
    range(0x10A0, 0x1100),
    range(0x13A0, 0x1400),
    range(0x1C80, 0x1CC0),
    range(0x1F00, 0x2000),
    range(0x2C00, 0x2D30),
    range(0xA640, 0xA6A0),
)


def caseless(text: str) -> str:
    """Folded text in small letters of the other scripts as well, of the same length.

    The tagger and the rules read :func:`.words.fold` alone, so this is no part of it.
    """
    return text if text.isascii() else text.translate(_case_table())


class KnownIndex:
    """Known names, prepared for one pass over a text's tokens.

    Args:
        known: what to find.
        vendor_words: the product's own words, which count only where they stand as a name.
    """

    def __init__(self, known: Known, vendor_words: frozenset[str] = frozenset()) -> None:
        # by the first word, then by the number of words, most first
        self._phrases: dict[str, dict[int, dict[tuple[str, ...], str]]] = {}
        self._pieces: dict[str, str] = {}
        self._domains = {_plain(domain).strip(". ") for domain in known.domains} - {""}
        self._vendor_words = vendor_words
        self._secrets = dict.fromkeys(fold(secret) for secret in known.secrets if secret)
        for name in known.names:
            self._add_person(_plain(name))
        for company in known.companies:
            self._add_company(_plain(company))
        for email in known.emails:
            self._add_email(_plain(email))
        for domain in sorted(self._domains):
            self._add_label(domain)
        for word, sizes in self._phrases.items():
            self._phrases[word] = dict(sorted(sizes.items(), reverse=True))

    def may_be_in(self, lower: str) -> bool:
        """Whether any of it can be in a folded text: a look that costs less than :meth:`spans`."""
        lower = caseless(lower)
        sought = (self._phrases, self._pieces, self._secrets, self._domains)
        return any(value in lower for values in sought for value in values)

    def spans(self, scan: Scan) -> Iterator[tuple[str, Span]]:
        """Entity and position of every known name in the text."""
        lower = caseless(scan.lower)
        for secret in self._secrets:
            for start in _places(scan.lower, secret):
                yield "SECRET", (start, start + len(secret))
        for piece, entity in self._pieces.items():
            for start in _places(lower, piece):
                end = _piece_end(scan.text, lower, start, start + len(piece))
                if end:
                    yield entity, (start, end)
        for domain in sorted(self._domains):
            for start in _places(scan.lower, domain):
                rest = _HOST_END.match(scan.lower, start + len(domain))
                if rest:
                    yield "URL", (_host_start(scan.lower, start), rest.end())
        if not self._phrases:
            return
        tokens = [(match[0], match.start(), match.end()) for match in _TOKEN.finditer(lower)]
        index = 0
        while index < len(tokens):
            found = self._match(scan, tokens, index)
            if found is None:
                index += 1
                continue
            length, entity = found
            yield entity, (tokens[index][1], tokens[index + length - 1][2])
            index += length

    def _match(
        self, scan: Scan, tokens: list[tuple[str, int, int]], index: int
    ) -> tuple[int, str] | None:
        word, start, end = tokens[index]
        sizes = self._phrases.get(word)
        if sizes is None and len(word) > 4 and word.endswith("s"):
            word = word[:-1]
            alone = self._phrases.get(word, {}).get(1)
            sizes = {1: alone} if alone else None
        for size, phrases in (sizes or {}).items():
            if size > 1:
                part = tokens[index : index + size]
                phrase = tuple(item[0] for item in part)
                if phrase not in phrases or not _adjacent(scan, part):
                    continue
                if all(self._is_word(item) for item in phrase) and not all(
                    scan.text[item[1]].isupper() for item in part
                ):
                    continue
                return size, phrases[phrase]
            entity = phrases[(word,)]
            if not self._is_word(word) or _stands_as_name(scan, start, end, entity):
                return 1, entity
        return None

    def _is_word(self, word: str) -> bool:
        lists = words()
        return (
            word in lists.common
            or word in lists.ambiguous_names
            or word in lists.tools
            or word in self._vendor_words
            or len(word) <= 2
        )

    def _add(self, phrase: tuple[str, ...], entity: str) -> None:
        if phrase:
            sizes = self._phrases.setdefault(phrase[0], {})
            sizes.setdefault(len(phrase), {}).setdefault(phrase, entity)

    def _add_label(self, host: str) -> None:
        """The first label of a host, which mostly is the company's name."""
        tokens = tuple(_TOKEN.findall(fold(host.split(".")[0])))
        if not self._vendor_words.issuperset(tokens):
            self._add(tokens, "COMPANY")

    def _add_person(self, folded: str) -> None:
        if not folded or "@" in folded:
            if "@" in folded:
                self._add_email(folded)
            return
        if not re.search(r"[a-z]", folded):
            for piece in sorted({folded, *folded.split()}):
                if len(piece) >= 2:
                    self._pieces.setdefault(piece, "PERSON")
            return
        parts = [tuple(_TOKEN.findall(part)) for part in folded.replace(",", " ").split()]
        parts = [part for part in parts if part]
        flat = tuple(token for part in parts for token in part)
        self._add(flat, "PERSON")
        self._add(flat[::-1], "PERSON")
        for part in parts:
            if len(part) > 1:
                self._add(("".join(part),), "PERSON")
            if len(part) > 1 or (len(part[0]) >= 2 and part[0] not in PARTICLES):
                self._add(part, "PERSON")
            for token in part:
                if len(token) >= 3 and token not in PARTICLES:
                    self._add((token,), "PERSON")
        if len(flat) >= 2:
            first, last = flat[0], flat[-1]
            self._add((first, last[0]), "PERSON")
            self._add((first[0], last), "PERSON")
            for handle in (first + last, first[0] + last, first + last[0], last + first):
                if len(handle) >= 5:
                    self._add((handle,), "PERSON")

    def _add_company(self, folded: str) -> None:
        if folded and not re.search(r"[a-z]", folded):
            self._pieces.setdefault(folded, "COMPANY")
            return
        tokens = tuple(_TOKEN.findall(folded))
        self._add(tokens, "COMPANY")
        core = tokens
        while len(core) > 1 and core[-1] in LEGAL_FORMS:
            core = core[:-1]
            self._add(core, "COMPANY")
        if len(core) > 1 and "".join(core) != core[0]:
            self._add(("".join(core),), "COMPANY")
        while len(core) > 1 and core[-1] in GENERIC_WORDS:
            core = core[:-1]
            self._add(core, "COMPANY")
            if len(core) > 1:
                self._add(("".join(core),), "COMPANY")
        if core and len(core[0]) >= 4 and not self._is_word(core[0]):
            self._add(core[:1], "COMPANY")
        elif len(core) == 1:
            self._add(core, "COMPANY")

    def _add_email(self, email: str) -> None:
        local, _, host = email.partition("@")
        if host and host not in PUBLIC_MAIL_HOSTS:
            self._domains.add(host)
        if local in _ROLE_MAILBOXES:
            return
        tokens = [token for token in re.findall(r"[a-z]+", local) if len(token) >= 3]
        tokens = [token for token in tokens if token not in self._vendor_words]
        if tokens and len("".join(tokens)) >= 4:
            for token in tokens:
                self._add((token,), "PERSON")


def may_recur(value: str, lower: str) -> bool:
    """Whether a folded text can hold a form of ``value`` that :class:`KnownIndex` would find.

    Each form holds one of the value's words of two letters or more, if it has any.
    """
    lower = caseless(lower)
    tokens = [token for token in _TOKEN.findall(_plain(value)) if len(token) > 1]
    return not tokens or any(token in lower for token in tokens)


def _plain(name: str) -> str:
    return caseless(fold(shadow(strip_invisible(name)))).strip()


def _places(text: str, piece: str) -> Iterator[int]:
    start = text.find(piece)
    while start >= 0:
        yield start
        start = text.find(piece, start + len(piece))


_HOST_END = re.compile(r"(?![\w\-])(?:/[^\s<>\"')]*)?")


def _host_start(lower: str, start: int) -> int:
    """Where the host or URL begins of which a known domain at ``start`` is the end."""
    first = start
    if lower[max(0, start - 1) : start] == ".":
        while first > max(0, start - _LINE) and (
            lower[first - 1].isalnum() or lower[first - 1] in "_-."
        ):
            first -= 1
        while lower[first] == ".":
            first += 1
    scheme = _SCHEME_BEFORE.search(lower, max(0, first - 8), first)
    return scheme.start() if scheme else first


_SCHEME_BEFORE = re.compile(r"https?://\Z")


def _piece_end(text: str, lower: str, start: int, end: int) -> int:
    """Where a name in another script ends, which stands at ``start``; 0 if it is none there.

    Chinese, Thai and Arabic names may stand within what has no space. In scripts with capitals,
    whose small letters are compared, a name begins a word and may have the ending of a case, which
    goes with it: Russian has the surname Li and "ili", which means "or".
    """
    if not _has_case(lower[start]):
        return end
    upper = text[start].isupper()
    if start and lower[start - 1].isalpha() and not (upper and text[start - 1].islower()):
        return 0
    last = min(len(lower), end + _LINE)
    ending = end
    while ending < last and lower[ending].isalpha():
        ending += 1
    if end - start >= _LONG:
        fits = upper or ending - end <= _ENDING
    else:
        fits = ending == end or (upper and text[end].islower() and ending - end <= _ENDING)
    return ending if fits else 0


def _has_case(char: str) -> bool:
    # the capitals of Georgian are for headlines
    return char.upper() != char and not "\u10d0" <= char <= "\u10ff"


_ENDING, _LONG = 3, 4
"""Letters that the ending of a case adds at most, and letters of a name that may have one unless
it is written with a capital."""


def _adjacent(scan: Scan, part: list[tuple[str, int, int]]) -> bool:
    for left, right in pairwise(part):
        gap = scan.text[left[2] : right[1]]
        if len(gap) > 2 or (gap and not re.fullmatch(r"[ \-_.'+&]{1,2}|\n", gap)):
            return False
    return True


_TALKS_AFTER = re.compile(
    r"(?:'s\b|,? (?:said|says|told|asked|wrote|mentioned|here|from|left|replied)\b|,? and i\b)"
)


_PRODUCT_AFTER = re.compile(
    r"[\"']? (?:theme|voice|plan|font|layout|template|mode|release|demo|skin|edition|tier|app|bot|"
    r"button|dialog|tab|screen|page)\b"
)


_ARTICLE = re.compile(r"\b(?:an?|the|your|any|each|every|another|no)[ ]$")


_LINE = 300
"""Characters to either side that are read of a line, which may be the whole of a long text."""


def _stands_as_name(scan: Scan, start: int, end: int, entity: str) -> bool:
    """Whether a name that is an ordinary word ("Mark", "Will", "Page") is a name here."""
    first, last = max(0, start - _LINE), min(len(scan.text), end + _LINE)
    line_start = scan.text.rfind("\n", first, start) + 1 or first
    line_end = scan.text.find("\n", end, last)
    line = scan.text[line_start : line_end if line_end >= 0 else last]
    alone = line.strip(" ,.!-~") == scan.text[start:end] and line_start > 0
    if alone:
        return True
    before = scan.before(start, 24)
    if _ARTICLE.search(before):
        return False  # "an Owner", "the Page"
    after = scan.lower[end : end + 14]
    if _PRODUCT_AFTER.match(after):
        return False
    upper = scan.text[start].isupper()
    greeted = re.search(
        r"(?:^|\W)(?:hi|hello|hey|hiya|dear|thanks|thank you|thx|cheers|cc)[ ,]{1,2}$", before
    )
    if greeted and (upper or re.match(r"\s*(?:[,!.:\n-]|$)", after)) and entity == "PERSON":
        return True
    if not upper:
        return False
    if before.rstrip().endswith((">", "/")) or after.lstrip().startswith(">"):
        return False
    if _TALKS_AFTER.match(after):
        return True
    sentence_start = re.search(r"(?:^|[.!?:\n\"(*-]\s*)$", before) is not None
    if not sentence_start:
        # a Title Case Line or an ALL CAPS one says nothing about names
        tokens: list[str] = re.findall(r"[^\W\d_]{3,}", line)
        lower = sum(word[0].islower() for word in tokens)
        return lower * 2 >= len(tokens)
    return (
        re.search(r"(?:my name is|this is|i'm|i am|from|by|best|regards|- ?)[ ,\n]*$", before)
        is not None
    )


def without_vendor(known: Known, vendor: Vendor) -> Known:
    """``known`` without what is the vendor's: its mailboxes, its hosts, its name, its tools.

    A help desk's agents are often called "Dana (Tracklight)" or "Tracklight Support", and whoever
    writes through the vendor's mailbox is a requester with that address. Taken for a customer's,
    they would take the product's name and the docs' host out of every answer.
    """
    name = _TOKEN.findall(fold(vendor.name))
    named = (
        re.compile(r"(?<![^\W_])" + r"[\W_]{0,2}".join(map(re.escape, name)) + r"(?![^\W_])")
        if name
        else None
    )

    def own(name: str) -> str:
        """What of a name is not the vendor's, empty for nothing."""
        for mail in vendor.emails:
            name = re.sub(re.escape(mail), "", name, flags=re.IGNORECASE)
        folded = fold(shadow(name))
        kept, last = "", 0
        for match in named.finditer(folded) if named else ():
            kept += name[last : match.start()]
            last = match.end()
        left = _TOKEN.findall(fold(kept + name[last:]))
        if last and _COMPANY_WORDS.issuperset(left):
            return ""
        core = set(left) - LEGAL_FORMS
        if (core and core <= vendor.tools) or vendor.owns_host(folded.strip()):
            return ""
        return kept + name[last:]

    mails = []
    for mail in known.emails:
        local, _, host = mail.strip().partition("@")
        if mail.strip().lower() not in vendor.emails:
            mails.append(local if vendor.owns_host(host) else mail)
    return Known(
        names=tuple(filter(None, map(own, known.names))),
        companies=tuple(filter(None, map(own, known.companies))),
        emails=tuple(mails),
        domains=tuple(item for item in known.domains if not vendor.owns_host(item.strip(". "))),
        secrets=tuple(
            item
            for item in known.secrets
            if fold(item) not in {*vendor.words, vendor.name, *vendor.domains, *vendor.emails}
        ),
    )


_COMPANY_WORDS = LEGAL_FORMS | GENERIC_WORDS | _ROLE_MAILBOXES | {"from", "at", "bot", "via"}


def index_of(names: Iterable[str], companies_known: Iterable[str], emails: Iterable[str]) -> Known:
    """A :class:`Known` of plain lists; empty entries are dropped."""
    return Known(
        tuple(filter(None, (name.strip() for name in names))),
        tuple(filter(None, (name.strip() for name in companies_known))),
        tuple(filter(None, (mail.strip() for mail in emails))),
    )
