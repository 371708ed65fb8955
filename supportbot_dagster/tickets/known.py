"""Names that a ticket is known to hold: its people, their companies, mailboxes and domains.

What lives here: :class:`Known` and the index that finds known names in any case, with or without
accents, and tells "Mark" from "mark". What does not: names that only context gives away
(:mod:`supportbot_dagster.tickets.tagger`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from supportbot_dagster.tickets.rule import Scan
from supportbot_dagster.tickets.words import PARTICLES, fold, shadow, word_set, words

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


class KnownIndex:
    """Known names, prepared for one pass over a text's tokens.

    Args:
        known: what to find.
        vendor_words: words that never count as a name by themselves (the product's own).
    """

    def __init__(self, known: Known, vendor_words: frozenset[str] = frozenset()) -> None:
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        self._substrings: list[tuple[str, str]] = []
        self._domains = sorted({domain.lower().strip(". ") for domain in known.domains} - {""})
        self._vendor_words = vendor_words
        self._substrings += [(fold(secret), "SECRET") for secret in known.secrets if secret]
        for name in known.names:
            self._add_person(name)
        for company in known.companies:
            self._add_company(company)
        for email in known.emails:
            self._add_email(email)
        for domain in self._domains:
            label = domain.split(".")[0]
            self._add(tuple(_TOKEN.findall(fold(label))), "COMPANY")
        for phrases in self._phrases.values():
            phrases.sort(key=lambda item: -len(item[0]))

    def may_be_in(self, lower: str) -> bool:
        """Whether any of it can be in a folded text: a look that costs less than :meth:`spans`."""
        return (
            any(word in lower for word in self._phrases)
            or any(text in lower for text, _ in self._substrings)
            or any(domain in lower for domain in self._domains)
        )

    def spans(self, scan: Scan) -> Iterator[tuple[str, Span]]:
        """Entity and position of every known name in the text."""
        for text, entity in self._substrings:
            start = scan.lower.find(text)
            while start >= 0:
                yield entity, (start, start + len(text))
                start = scan.lower.find(text, start + len(text))
        for domain in self._domains:
            if domain in scan.lower:
                pattern = r"(?:https?://)?(?:[\w\-]+\.)*" + re.escape(domain) + r"(?![\w\-])"
                for match in re.finditer(pattern + r"(?:/[^\s<>\"')]*)?", scan.lower):
                    yield "URL", match.span()
        if not self._phrases:
            return
        tokens = [(match[0], match.start(), match.end()) for match in _TOKEN.finditer(scan.lower)]
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
        phrases = self._phrases.get(word)
        if phrases is None and len(word) > 4 and word.endswith("s"):
            phrases = self._phrases.get(word[:-1])
            phrases = [item for item in phrases or () if len(item[0]) == 1 and len(word) > 4]
        for phrase, entity in phrases or ():
            size = len(phrase)
            if size > 1:
                part = tokens[index : index + size]
                if tuple(item[0] for item in part) != phrase or not _adjacent(scan, part):
                    continue
                if all(self._is_word(item) for item in phrase) and not all(
                    scan.text[item[1]].isupper() for item in part
                ):
                    continue
                return size, entity
            if not self._is_word(phrase[0]) or _stands_as_name(scan, start, end, entity):
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
        if not phrase or phrase in {item[0] for item in self._phrases.get(phrase[0], [])}:
            return
        self._phrases.setdefault(phrase[0], []).append((phrase, entity))

    def _add_person(self, name: str) -> None:
        folded = fold(shadow(name)).strip()
        if not folded or "@" in folded:
            if "@" in folded:
                self._add_email(folded)
            return
        if not re.search(r"[a-z]", folded):
            for piece in sorted({folded, *folded.split()}):
                if len(piece) >= 2:
                    self._substrings.append((piece, "PERSON"))
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

    def _add_company(self, company: str) -> None:
        folded = fold(shadow(company)).strip()
        if folded and not re.search(r"[a-z]", folded):
            self._substrings.append((folded, "COMPANY"))
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
        local, _, host = email.lower().strip().partition("@")
        if host and host not in PUBLIC_MAIL_HOSTS:
            self._domains = sorted({*self._domains, host})
            label = host.split(".")[0]
            if label not in words().tools and label not in self._vendor_words:
                self._add(tuple(_TOKEN.findall(fold(label))), "COMPANY")
        if local in _ROLE_MAILBOXES:
            return
        tokens = tuple(token for token in re.findall(r"[a-z]+", fold(local)) if len(token) >= 3)
        if tokens and len("".join(tokens)) >= 4:
            for token in tokens:
                self._add((token,), "PERSON")


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


def _stands_as_name(scan: Scan, start: int, end: int, entity: str) -> bool:
    """Whether a name that is an ordinary word ("Mark", "Will", "Page") is a name here."""
    line_start = scan.text.rfind("\n", 0, start) + 1
    line_end = scan.text.find("\n", end)
    line = scan.text[line_start : line_end if line_end >= 0 else len(scan.text)]
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


def index_of(names: Iterable[str], companies_known: Iterable[str], emails: Iterable[str]) -> Known:
    """A :class:`Known` of plain lists; empty entries are dropped."""
    return Known(
        tuple(filter(None, (name.strip() for name in names))),
        tuple(filter(None, (name.strip() for name in companies_known))),
        tuple(filter(None, (mail.strip() for mail in emails))),
    )
