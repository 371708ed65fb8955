"""Names of persons and companies: those known from the ticket, and those that context gives away.

What lives here: matching of known names in any case, and the places of a message in which people
name themselves and others (greeting, sign-off, introduction, signature, "my colleague X"). What
does not: data that its form gives away (:mod:`supportbot_dagster.tickets.rules`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from supportbot_dagster.tickets.rules import Scan
from supportbot_dagster.tickets.words import PARTICLES, TOOLS, fold, shadow, words

Span = tuple[int, int]

_TOKEN = re.compile(r"[^\W_]+")
_LEGAL = frozenset(
    "inc llc ltd limited gmbh ag sa sas sarl bv nv pty plc corp corporation co company kg ug se oy "
    "ab as aps kk srl spa sl lda llp kft pvt oyj ltda eurl mbh ohg".split()
)
_GENERIC = frozenset(
    "labs lab group studio studios technologies technology tech software systems solutions services "
    "digital media consulting consultants partners ventures holdings international global "
    "industries agency works collective foundation institute university college school clinic "
    "logistics freight energy health healthcare medical foods analytics robotics design designs "
    "team the and of for bank capital finance insurance games interactive networks network".split()
)
SURNAME_WORDS = frozenset(
    "baker banks bell berry bird black brook brooks brown bush carter castle chase church clay cole "
    "cook cooper cross day dean field fields fisher ford forest fox french frost gates german gray "
    "green grant grove hall harper hart hill hood hope hunt hunter judge key king knight lake lamb "
    "lane law little long love marsh mason miller mills moon moore moss north page palmer park "
    "parker parks perry pope porter potter powers price prince reed rich ridge rivers rose savage "
    "sharp shaw shepherd short silver singer small smart smith snow spark sparrow stone strong "
    "summers swan sweet swift tanner taylor thorn tower town turner vale walker wall ward waters "
    "weaver webb west wheeler white wild winter wolf wood woods wright young archer butcher "
    "carpenter farmer freeman sailor".split()
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
    """

    names: tuple[str, ...] = ()
    companies: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is known."""
        return not (self.names or self.companies or self.emails or self.domains)


_MAIL_HOSTS = frozenset(
    "gmail.com googlemail.com outlook.com hotmail.com yahoo.com icloud.com live.com gmx.de gmx.net "
    "web.de proton.me protonmail.com aol.com me.com msn.com mail.com".split()
)
_ROLE_MAILBOXES = frozenset(
    "info support help admin sales contact hello office team billing accounts accounting noreply "
    "no-reply mail it dev ops hr finance security webmaster postmaster".split()
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
            or word in TOOLS
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
            for part in {folded, *folded.split()}:
                if len(part) >= 2:
                    self._substrings.append((part, "PERSON"))
            return
        parts = [tuple(_TOKEN.findall(part)) for part in folded.replace(",", " ").split()]
        parts = [part for part in parts if part]
        flat = tuple(token for part in parts for token in part)
        self._add(flat, "PERSON")
        self._add(flat[::-1], "PERSON")
        for part in parts:
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
        while len(core) > 1 and core[-1] in _LEGAL:
            core = core[:-1]
            self._add(core, "COMPANY")
        if len(core) > 1 and "".join(core) != core[0]:
            self._add(("".join(core),), "COMPANY")
        while len(core) > 1 and core[-1] in _GENERIC:
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
        if host and host not in _MAIL_HOSTS:
            self._domains = sorted({*self._domains, host})
            label = host.split(".")[0]
            if label not in TOOLS and label not in self._vendor_words:
                self._add(tuple(_TOKEN.findall(fold(label))), "COMPANY")
        if local in _ROLE_MAILBOXES:
            return
        tokens = tuple(token for token in re.findall(r"[a-z]+", fold(local)) if len(token) >= 3)
        if tokens and len("".join(tokens)) >= 4:
            for token in tokens:
                self._add((token,), "PERSON")


def _adjacent(scan: Scan, part: list[tuple[str, int, int]]) -> bool:
    for left, right in zip(part, part[1:], strict=False):
        gap = scan.text[left[2] : right[1]]
        if len(gap) > 2 or (gap and not re.fullmatch(r"[ \-_.'+&]{1,2}|\n", gap)):
            return False
    return True


_GREETING_BEFORE = re.compile(
    r"(?:\b(?:hi|hello|hey|hiya|dear|thanks|thank you|thx|cheers|cc|morning|afternoon|evening|"
    r"regards|best|from|ask|asked|tell|told|with|colleague|boss|manager|teammate|by|"
    r"name is|this is|i'm|i am|mr|mrs|ms|dr)\.?,?[ \n]{1,2}|[-~] ?|^|\n\s*)$"
)
_TALKS_AFTER = re.compile(
    r"(?:'s\b|,? (?:said|says|told|asked|wrote|mentioned|here|from|left|replied)\b|,? and i\b)"
)


def _stands_as_name(scan: Scan, start: int, end: int, entity: str) -> bool:
    """Whether a name that is an ordinary word ("Mark", "Will", "Page") is a name here."""
    line_start = scan.text.rfind("\n", 0, start) + 1
    line_end = scan.text.find("\n", end)
    line = scan.text[line_start : line_end if line_end >= 0 else len(scan.text)]
    alone = line.strip(" ,.!-~") == scan.text[start:end] and line_start > 0
    if alone:
        return True
    before = scan.before(start, 24)
    after = scan.lower[end : end + 14]
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
        tokens = [word for word in re.findall(r"[^\W\d_]{3,}", line)]
        lower = sum(word[0].islower() for word in tokens)
        return lower * 2 >= len(tokens)
    return (
        re.search(r"(?:my name is|this is|i'm|i am|from|by|best|regards|- ?)[ ,\n]*$", before)
        is not None
    )


# --- unknown names -----------------------------------------------------------------------------

_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['.\-](?=[^\W\d_]))*")
_NOT_NAMES = frozenset(
    "team support all everyone everybody folks guys there again sir madam admin friends people "
    "someone somebody anyone you me us him her them it this that both the a an my our your "
    "regards wishes greetings grusse gruss grussen grusze hugs sent best kind warm".split()
)


def _is_name_word(word: str, folded: str, scan: Scan, *, strong: bool) -> bool:
    """Whether a capitalised word can be a person's name."""
    lists = words()
    base = folded.removesuffix("'s")
    if base in _NOT_NAMES or base in TOOLS or base in scan.vendor.tools or base == scan.vendor.name:
        return False
    if base in lists.given_names:
        return True
    if base in lists.ambiguous_names or base in SURNAME_WORDS:
        return strong
    if base in lists.common:
        return False
    if "-" in base and all(part in lists.common for part in base.split("-")):
        return False
    if word.isupper() and len(word) > 1:
        return strong and len(word) >= 3
    if any(char.isupper() for char in word[1:]) and not re.match(
        r"(?:Mc|Mac|O'|D'|De|Le|La|Van)[A-Z]|[A-Z]\w+-[A-Z]", word
    ):
        return False
    return not base.endswith(("'t", "'m", "'ll", "'re", "'ve", "'d"))


def take_name(scan: Scan, start: int, *, lower: str = "", strong: bool = False) -> int | None:
    """The end of the person's name that begins at ``start``, or None if none does.

    Args:
        lower: which lower-case words count: ``given`` for listed first names, ``any`` for all words
            that are no vocabulary, empty for none.
        strong: the place is one where a name is expected, so that names which are words count.
    """
    lists = words()
    end: int | None = None
    position = start
    count = 0
    while count < 4:
        match = _WORD.match(scan.text, position)
        if match is None:
            break
        word = match[0]
        folded = scan.lower[match.start() : match.end()]
        if folded.endswith("'s"):
            word, folded = word[:-2], folded[:-2]
        stop = match.start() + len(word)
        if count and folded in PARTICLES:
            following = _WORD.match(scan.text, stop + 1)
            if following is None or not following[0][0].isupper():
                break
        elif word[0].isupper():
            initial = (
                len(word) == 1 and count > 0 and scan.text[stop : stop + 1] in {".", "", "\n", ","}
            )
            if initial:
                stop += scan.text[stop : stop + 1] == "."
            elif count == 0:
                if not _is_name_word(word, folded, scan, strong=strong):
                    return None
            elif not _is_name_word(word, folded, scan, strong=folded in SURNAME_WORDS or strong):
                # "Howard Finch" on a line of its own: the second word is a name, whatever it means
                if not (strong and re.match(r"[ ]?(?:[,|(]|\n|$)", scan.text[stop : stop + 3])):
                    break
        else:
            known_given = folded in lists.given_names and len(folded) >= 3
            unknown = (
                lower == "any"
                and folded not in lists.common
                and folded not in TOOLS
                and folded not in _NOT_NAMES
                and folded != scan.vendor.name
                and folded not in scan.vendor.tools
                and "'" not in folded
                and 2 <= len(folded) <= 20
            )
            strong_word = (
                lower == "any" and strong and count == 0 and folded in lists.ambiguous_names
            )
            if not (lower and (known_given or unknown or strong_word)):
                if count == 0:
                    return None
                break
        end = stop
        count += 1
        gap = scan.text[stop : stop + 1]
        if gap not in {" ", "-"} or not scan.text[stop + 1 : stop + 2].isalpha():
            break
        position = stop + 1
    return end


_I = re.IGNORECASE | re.MULTILINE
_AGAIN = re.compile(r"(?:, | and | & | / |/| \+ |, and | or )")
_CLOSER = (
    r"(?:many thanks|thanks|thank you|thx|tnx|ty|tia|cheers|all the best|(?:my |very |with )?(?:best|kind|kindest|warm|"
    r"warmest)(?: (?:regards|wishes))?|regards|rgds|br|kr|sincerely|yours(?: (?:sincerely|truly|faithfully))?|"
    r"ta|respectfully|cordially|take care|talk soon|ciao|greetings|have a (?:nice|great|good|lovely)[\w ]{0,20}|"
    r"looking forward[\w ]{0,30}|hope (?:this|that) helps|mit freundlichen gr\w{2,6}|mfg|lg|vg|viele gr\w{2,6}|"
    r"cordialement|saludos|un saludo|atentamente|abra\u00e7os|xo|xx|love|peace|warmly|sent|appreciated)"
)
_CLOSING_LINE = re.compile(
    r"^[ ]*(?:.{0,120}[.!?] )?"
    + _CLOSER
    + r"(?: (?:so+ much|a lot|again|in advance|and regards|and best|for \w[\w ]{0,40}|"
    r"very much|all|team|everyone|and \w+ regards))*[ ,.!:\-)]*$",
    _I,
)


@dataclass(frozen=True)
class _Place:
    """A pattern after which a person's name may stand."""

    pattern: re.Pattern[str]
    lower: str = ""
    strong: bool = False
    followed_by: re.Pattern[str] | None = None
    given_only: bool = False
    gate: tuple[str, ...] = field(default=())


def _p(text: str) -> re.Pattern[str]:
    return re.compile(text, _I)


_GREETING = (
    r"(?:hi|hello|hey|hiya|heya|dear|good (?:morning|afternoon|evening|day)|morning|afternoon|hallo|hola|bonjour|"
    r"ciao|moin|greetings|salut|aloha|kia ora|gr\u00fcezi|namaste|servus|salaam|shalom|guten tag|gr\u00fc\u00df gott|ol\u00e1)"
)
_HONORIFIC = r"(?:(?:mr|mrs|ms|mx|miss|messrs|dr|prof|captain|judge|father|sister|herr|frau|mme|madame|monsieur|se\u00f1ora?|sr|sra)\b\.? )"
_PLACES = (
    _Place(
        _p(
            r"(?:^|[.!?,:\n\"]\s{0,3}|\b(?:oh|and|well|so|ok) )"
            + _GREETING
            + r"(?: again| there)?[ ,]{1,2}"
            + _HONORIFIC
            + r"?"
        ),
        "any",
        True,
        re.compile(r"\s*(?:[,!.:;\-)]|$|\n| and | & |/|\()"),
    ),
    _Place(
        _p(
            r"(?:^|[.!?,:\n\"]\s{0,3}|\b(?:oh|and|well|so|ok) )"
            + _GREETING
            + r"(?: again| there)?[ ,]{1,2}"
            + _HONORIFIC
            + r"?"
        ),
        "given",
        False,
    ),
    _Place(
        _p(
            r"\b(?:thanks|thank you|thx|cheers|merci|danke|gracias|ty)(?: so much| a lot| again| very much| a bunch| loads)?,? "
        ),
        "given",
        False,
        gate=("than", "thx", "cheers", "merci", "danke", "graci", "ty "),
    ),
    _Place(
        _p(r"\b(?:thanks|thank you|thx|cheers)(?: so much| a lot| again| very much)?,? "),
        "any",
        True,
        re.compile(r"\s*(?:[,!.;\-]|$|\n)"),
        gate=("than", "thx", "cheers"),
    ),
    _Place(
        _p(
            r"\b(?:cc|cc'?ing|cc'?ed|bcc|attn|fao|copying(?: in)?|copied(?: in)?|looping in|loop in|adding)[:.]? (?:my (?:colleague|boss|manager) )?"
        ),
        "given",
        False,
        gate=("cc", "attn", "fao", "cop", "loop", "adding"),
    ),
    _Place(
        _p(
            r"\bmy (?:(?:full|first|last|given|family|legal|real|maiden|middle|sur) ?)?name(?:'s| is| was|:| =) ?(?:is )?"
        ),
        "any",
        True,
        gate=("name",),
    ),
    _Place(
        _p(
            r"^[ ]*(?:(?:full |first |last |contact |display |account |requester |billing |your |customer )?(?:name|contact(?: person)?)|from|to|cc|requester|submitted by|sent by|reported by|signed(?: by)?|author|attn|contact)[ ]?:[ ]{1,3}"
            + _HONORIFIC
            + r"?"
        ),
        "",
        True,
        gate=(":",),
    ),
    _Place(
        _p(
            r"\b(?:name|surname|display name) (?:from|to|as|is|of|on it is|reads|says|should be|shows|still says|spelled|spelt) [\"']?"
        ),
        "given",
        False,
        gate=("name",),
    ),
    _Place(
        _p(r"\b(?:i'?m|i am|it'?s|this is|its|here is|here's) "),
        "any",
        True,
        re.compile(
            r",? (?:here|from (?:the )?(?!(?:my|our|your|a|an)\b)\w+|at \w+|speaking|writing|again)\b"
        ),
        gate=("i'm", "im ", "i am", "its", "it's", "this is", "here"),
    ),
    _Place(
        _p(r"\b(?:i'?m|i am|this is|it'?s me,?) "),
        "",
        False,
        re.compile(r"(?:,|\.|!| and | \(|\n|$| the | a | one of | who | with )"),
        gate=("i'm", "im ", "i am", "this is", "it's me"),
    ),
    _Place(
        _p(
            r"\b(?:they |people |everyone |you can |please |just )?calls? me (?!at\b|on\b|back\b|when\b|if\b)"
        ),
        "given",
        True,
        gate=("call",),
    ),
    _Place(
        _p(_HONORIFIC),
        "",
        True,
        gate=(
            "mr",
            "mess",
            "capt",
            "judge",
            "father",
            "sister",
            "ms",
            "mx",
            "miss",
            "dr",
            "prof",
            "herr",
            "frau",
            "mme",
            "mons",
            "se\u00f1",
            "sr",
            "madam",
        ),
    ),
    _Place(
        _p(
            r"\b(?:colleagues?|co-?workers?|team ?mates?|boss|bosses|manager|supervisor|cto|ceo|coo|cfo|vp|director|assistant|intern|wife|husband|spouse|daughter|son|brother|sister|mother|father|contractor|freelancer|accountant|bookkeeper|friend|co-?founder|founder|predecessor|successor|new (?:hire|starter|joiner)|secretary|consultant)s?,?(?: named| called| is called| is|:)? (?:"
            + _HONORIFIC
            + r")?"
        ),
        "given",
        True,
    ),
    _Place(
        _p(
            r"\b(?:colleagues?|co-?workers?|team ?mates?|boss|manager|assistant|intern|wife|husband|contractor|friend|someone|guy|person|woman|man|user|member|guest|agent|rep|employee|girl|lady|teammate) (?:named|called|whose name is|by the name of) "
        ),
        "any",
        True,
        gate=("named", "called", "name"),
    ),
    _Place(
        _p(
            r"\b(?:our|my|an?|another|former|new) (?:[\w\-]+ ){0,2}(?:guy|girl|lady|man|woman|person|people|owner|admin|administrator|lead|designer|developer|"
            r"engineer|lawyer|auditor|accountant|bookkeeper|intern|manager|contractor|employee|consultant|boss|colleague|pm|tester|analyst|architect|"
            r"freelancer|dev|sysadmin|secretary|vendor contact|contact|teammate|founder|volunteer|student|teacher|trainee|temp|agent|rep)(?:, |: | named | called | is | \(| )"
            + _HONORIFIC
            + r"?"
        ),
    ),
    _Place(
        _p(r"\b(?:me and|me &|myself and|both me and|only me and|either me or|neither me nor) "),
        "given",
        gate=("me ", "myself "),
    ),
    _Place(
        _p(
            r"\b(?:designers?|developers?|engineers?|lead|owner|admins?|administrator|members?|users?|guests?|agents?|reps?|employees?|pm|product manager|project manager|account manager|head of \w+|qa|tester|assignee|requester|creator|author|customer|client),? (?:is |was |named |called |: ?)?"
        ),
        "",
        False,
        given_only=True,
    ),
    _Place(
        _p(
            r"\b(?:asked|told|spoke (?:to|with)|spoken (?:to|with)|speak(?:ing)? (?:to|with)|talk(?:ed|ing)? (?:to|with)|chatt?(?:ed|ing)? (?:to|with)|heard (?:back )?from|e-?mail from|reply from|answer from|message from|help from|met with|hired|pinged|ping|in touch with|emailed|helped by|per) "
        ),
        "given",
        False,
    ),
    _Place(
        _p(
            r"\b(?:ask|tell|invite|invited|inviting|add|added|adding|remove|removed|removing|replace|replaced|assign(?:ed)? (?:it |this |them |all |everything )?to|belong(?:s|ed)? to|from|by|for|to|with|and|contact|contacted|made|make|gave|give|let|is|was|but|when|since|because|that|if|after|before|until|so|as|about|only) "
        ),
        "",
        False,
        given_only=True,
    ),
)
_LOWER_GIVEN = re.compile(
    r"\b(?:ask|asked|tell|told|invite|invited|remove|removed|add|added|replace|replaced|and|with|by|from|for|to|only|let|make|made|gave|colleague|when|because|but|that|if|assigned to) "
    r"(?P<n>[^\W\d_]{4,})\b|\b(?P<m>[^\W\d_]{4,})(?='s \w| (?:said|told|asked|says|cant|can't|left|quit|invited|deleted|created|mentioned|replied|and i)\b)"
)
_NAME_THEN = re.compile(
    r"(?<![\w>/.])(?P<n>[A-Z\u00c0-\u00de][^\W\d_]+(?:[ -][A-Z\u00c0-\u00de][^\W\d_]+){0,2})(?=(?:'s (?:last day|laptop|phone|account|seat|email|e-mail|contract|calendar|manager|team|birthday|name|issues|login|invite|card)|"
    r",? (?:here|speaking)(?: from| at| with|[,.!:;-]|$)| (?:told|said|says|asked|mentioned|quit|replied|wrote|claimed|claims|thinks|thought|insists|swears|reckons|complained|noticed|wants|wanted|remembers|forgot|showed|explained|promised|looked|requested|resigned|joined us|who left|who works|left (?:the|our|us|last|in|on|yesterday))\b|"
    r" (?:from|in) (?:our|your|hr|accounting|accounts|finance|sales|marketing|legal|engineering|design|ops|it|product|procurement|support|qa)\b|"
    r",? (?:\()?(?:our|my) (?:new |former |old |other |lead |senior |junior )?(?:admin|boss|manager|cto|ceo|cfo|coo|colleague|designer|developer|engineer|intern|contractor|accountant|teammate|lead|pm|assistant|owner|co-?founder|founder|product|project|qa|team|head|it\b|bookkeeper|client)))",
    re.MULTILINE,
)
_AND_ME = re.compile(
    r"(?<![\w>/.])(?P<n>[A-Z\u00c0-\u00de][^\W\d_]+(?: [A-Z\u00c0-\u00de][^\W\d_]+)?)(?= (?:and|&) (?:i|me|myself)\b)"
)
_LAST_WORD = re.compile(
    r"[.!?)][ ]{1,2}(?P<n>[A-Z\u00c0-\u00de][^\W\d_]+(?:[ -][A-Z\u00c0-\u00de][^\W\d_]+){0,2})[.! ]*\Z"
)
_LOWER_HERE = re.compile(
    r"(?:^|[.!?,\n]\s*|\b(?:hi|hello|hey)[,!]? )(?P<n>[^\W\d_]{2,20}(?: [^\W\d_]{2,20})?) here(?: from| at|[,.!:]|$)",
    _I,
)
_BEFORE_MAIL = re.compile(
    r"(?P<n>[A-Z\u00c0-\u00de][\w'.\-]{1,25}(?:[ ][A-Z\u00c0-\u00de][\w'.\-]{0,25}){0,3})(?:[ ,:]{0,2}[ ]?[<(\[]|[ ,:]{1,2}[ ]?)(?:mailto:)?[\w.+\-]{1,64}@[\w\-]{1,63}\."
)
_CAPITALISED = re.compile(r"(?<![\w>@/.'\-])[A-Z\u00c0-\u00de][^\W\d_]{2,}")
_SAME_LINE_CLOSE = re.compile(
    r"(?:^|[\n.!?,;)] {0,2})"
    + _CLOSER
    + r"[,!.;:]?(?: in advance| again| a lot| so+ much| guys| all)?[,!.;:]?(?: ?[-~]{1,2})? (?=[^\n]{2,60}$)",
    _I,
)
_DASH_LINE = re.compile(
    r"(?:^|[.!?,;)]\s{1,2}|\n)[ ]*[-~/]{1,3}[ ]?(?=[^\W\d_])|(?<=[\w)])[ ](?:/|-{2})[ ]?(?=[^\W\d_]+[ ]*,?[ ]*\Z)",
    re.MULTILINE,
)
_FIRST_WORD = re.compile(
    r"\A(?P<n>[A-Z\u00c0-\u00de][^\W\d_]+), (?=(?:thanks|thank|good|great|sorry|you|your|the|that|this|we|yes|no|sure|happy|it|i|in|to|there|please|glad)\b)",
    re.IGNORECASE,
)
_GREETED = re.compile(
    r"\A\W*" + _GREETING + r"(?: there| again)? (?P<n>[A-Z\u00c0-\u00de][^\W\d_]+)(?=[ ]?[,!])",
    re.IGNORECASE,
)
_GROUPS = frozenset(
    "support billing sales team world people friends again all help helpdesk customer customers service care crew gang dear good "
    "morning afternoon evening everyone everybody folks guys there sir madam desk colleagues admin admins staff security accounts "
    "engineering development product success tech ladies gentlemen both you user users humans human robot bot".split()
)
_INITIAL = re.compile(
    r"(?<![\w.])[A-Z]\.(?:[ ]?[A-Z]\.)? (?P<s>[A-Z\u00c0-\u00de][^\W\d_]{2,})(?![\w.])"
)


def persons(scan: Scan) -> Iterator[Span]:
    """Positions of persons' names that nobody told of beforehand."""
    lists = words()
    for place in _PLACES:
        if place.gate and not any(part in scan.lower for part in place.gate):
            continue
        for match in place.pattern.finditer(scan.text):
            yield from _after(scan, match.end(), place)
    for match in _NAME_THEN.finditer(scan.text):
        yield from _if_name(scan, match.start("n"))
    for match in _AND_ME.finditer(scan.text):
        yield from _if_name(scan, match.start("n"))
    first = _FIRST_WORD.match(scan.text)
    if first and scan.text[0].isupper():
        yield from _if_name(scan, 0)
    greeted = _GREETED.match(scan.text)
    if greeted and greeted["n"][0].isupper():
        # who greets "Rowan," or "Fern," at the very start means a person, whatever the word
        word = scan.lower[greeted.start("n") : greeted.end("n")]
        if word not in _GROUPS | _NOT_NAMES and word != scan.vendor.name:
            yield greeted.span("n")
    for match in _INITIAL.finditer(scan.text):
        if scan.lower[match.start("s") : match.end("s")] not in lists.common | TOOLS:
            yield match.span()
    last = _LAST_WORD.search(scan.text)
    if last:
        yield from _name_to_line_end(scan, last.start("n"), lower="", strong=True)
    for match in _LOWER_HERE.finditer(scan.text):
        end = take_name(scan, match.start("n"), lower="any", strong=True)
        if end is not None and scan.lower.startswith((" here", ", here"), end):
            yield match.start("n"), end
    for match in _LOWER_GIVEN.finditer(scan.lower):
        group = "n" if match["n"] else "m"
        if match[group] in lists.given_names:
            yield match.span(group)
    if "@" in scan.text:
        for match in _BEFORE_MAIL.finditer(scan.text):
            yield from _if_name(scan, match.start("n"))
    for match in _CAPITALISED.finditer(scan.text):
        if scan.lower[match.start() : match.end()] in lists.given_names and not _in_path(
            scan, match.end()
        ):
            end = take_name(scan, match.start())
            if end is not None:
                yield match.start(), end
    yield from _sign_offs(scan)


def _in_path(scan: Scan, end: int) -> bool:
    return scan.text[end : end + 3].lstrip().startswith((">", "=", "("))


def _if_name(scan: Scan, start: int) -> Iterator[Span]:
    end = take_name(scan, start)
    if end is not None:
        yield start, end


def _after(scan: Scan, start: int, place: _Place) -> Iterator[Span]:
    lists = words()
    for _ in range(4):
        end = take_name(scan, start, lower=place.lower, strong=place.strong)
        if end is None:
            return
        if place.followed_by and not place.followed_by.match(scan.text, end):
            return
        first = _WORD.match(scan.lower, start)
        if place.given_only and (
            first is None or first[0].removesuffix("'s") not in lists.given_names
        ):
            tokens = scan.text[start:end].split()
            if len(tokens) < 2 or not all(token[:1].isupper() for token in tokens):
                return
            if scan.lower[max(0, start - 5) : start] == "from ":
                return  # "I'm writing from Northpeak Labs"
        yield start, end
        more = _AGAIN.match(scan.text, end)
        if more is None or not scan.text[more.end() : more.end() + 1].isupper():
            return
        start = more.end()
        # the second of "Dana, Can you" must be a name by itself
        place = _Place(place.pattern, given_only=more[0].startswith(","))


_JOB_WORDS = frozenset(
    "head director manager engineer developer lead officer ceo cto cfo coo founder co-founder ops operations product "
    "marketing sales support designer design analyst consultant assistant coordinator senior junior vp vice president "
    "chief of technology software it admin administrator owner hr people team engineering customer success account "
    "executive specialist project program programme and the for devops qa tester architect data scientist intern "
    "principal staff partner managing general office finance accounting research communications content strategy "
    "brand growth community platform infrastructure security mobile web frontend backend full stack sr jr she he they her him them tel phone mobile".split()
)


def _lines(scan: Scan) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    start = 0
    for line in scan.text.split("\n"):
        lead = len(line) - len(line.lstrip())
        if line.strip():
            spans.append((start + lead, start + len(line.rstrip())))
        start += len(line) + 1
    return spans


def _sign_offs(scan: Scan) -> Iterator[Span]:
    for match in _SAME_LINE_CLOSE.finditer(scan.text):
        yield from _name_to_line_end(scan, match.end(), lower="any", strong=True)
    for match in _DASH_LINE.finditer(scan.text):
        if scan.text.find("\n", match.end()) < 0 or not scan.text[match.end() :].strip().count(
            "\n"
        ):
            before = scan.text[: match.start()].rstrip("\n")
            previous = before[before.rfind("\n") + 1 :].lstrip()
            if not previous.startswith(("-", "*", "\u2022")):
                yield from _name_to_line_end(scan, match.end(), lower="given", strong=True)
    lines = _lines(scan)
    for index, (start, end) in enumerate(lines):
        if _CLOSING_LINE.match(scan.text[start:end]) and index + 1 < len(lines):
            yield from _name_to_line_end(scan, lines[index + 1][0], lower="any", strong=True)
    if len(lines) >= 2:
        start, end = lines[-1]
        alone = re.fullmatch(r"[^\W\d_]{3,15}[ :;)(.!-]*", scan.text[start:end]) is not None
        own = scan.text[:start].endswith("\n\n") and len(scan.text) > 40
        lower = "any" if alone and own else "given"
        yield from _name_to_line_end(scan, start, lower=lower, strong=False)
    block = _signature(scan, lines)
    if block:
        yield block[0]


_CONTACT = re.compile(r"\d{3}|@|\bwww\.|://|\biban\b|\bvat\b", re.IGNORECASE)


def _signature(scan: Scan, lines: list[tuple[int, int]]) -> tuple[Span, list[Span]] | None:
    """The name and the further parts of a signature that ends a message without a closing word."""
    if lines:
        low, high = lines[-1]
        ends = [match.end() for match in re.finditer(r"[.!?)] (?=[^\W\d_])", scan.text[low:high])]
        if ends and high - low - ends[-1] <= 70:
            lines = [*lines[:-1], (low, low + ends[-1] - 1), (low + ends[-1], high)]
    for index in range(len(lines) - 1, max(0, len(lines) - 6), -1):
        start, end = lines[index]
        text = scan.text[start:end]
        if "?" in text or end - start > 110 or _CLOSING_LINE.match(text):
            return None
        while scan.text[start] in "-~/ *" and start < end - 1:
            start += 1
        stop = take_name(scan, start, strong=True)
        if stop is None:
            continue
        if stop < end and not re.match(
            r"[ ]?(?:[,|(/@\u2022\u00b7-]|$)| (?:from|at|with|of) ", scan.text[stop:end]
        ):
            continue
        name = scan.text[start:stop]
        rest = [(stop, end)] if stop < end else []
        rest += lines[index + 1 :]
        tokens = name.split()
        first = scan.lower[start:stop].split()[0]
        contact = any(_CONTACT.search(scan.text[low:high]) for low, high in rest)
        sure = first in words().given_names or first in words().ambiguous_names
        if sure or len(tokens) >= 2 or (contact and first not in words().common):
            if stop == end and index + 1 == len(lines) and not sure and index < 1:
                return None
            return (start, stop), rest
    return None


def _name_to_line_end(scan: Scan, start: int, *, lower: str, strong: bool) -> Iterator[Span]:
    while scan.text[start : start + 1] in {" ", "-", "~"}:
        start += 1
    end = take_name(scan, start, lower=lower, strong=strong)
    if end is None:
        initials = re.match(r"[A-Z]\.?[A-Z]?\.?(?=\s*$|\s*\n)", scan.text[start : start + 8])
        if initials and strong and scan.text[start : start + 2] not in {"OK", "IT", "HR"}:
            yield start, start + initials.end()
        return
    rest = scan.text[end:].split("\n", 1)[0]
    if re.match(r"[ .,!)(:x]*$|[ ]?[^\w\s.,]{1,4}$|[ ]?[,|(/@\-<]| (?:from|at|with) ", rest):
        yield start, end


# --- companies ---------------------------------------------------------------------------------

_CAP = r"(?:[A-Z0-9\u00c0-\u00de][\w'\u2019&+\-]*)"
_WITH_SUFFIX = re.compile(
    r"(?<![\w>])(?P<x>"
    + _CAP
    + r"(?:[ ](?:&[ ]|and[ ]|of[ ]|de[ ])?"
    + _CAP
    + r"){0,4},?[ ](?:Inc|LLC|Ltd|GmbH|AG|SAS|SARL|BV|B\.V|NV|N\.V|Pty(?: Ltd)?|PLC|plc|Corp|"
    r"Corporation|Limited|Oy|AB|ApS|A/S|KK|K\.K|Srl|S\.r\.l|SpA|S\.p\.A|S\.A|S\.L|Lda|LLP|Kft|sp\. z o\.o|Pvt\.? Ltd|KG|UG|e\.V)\b\.?)"
)
_COMPANY_PLACES = tuple(
    (re.compile(pattern, _I), lower)
    for pattern, lower in (
        (r"\b(?:this is|i'?m|i am|my name is|my name'?s|it'?s|here is|here's)\b[^.\n!?>]{1,40}?,? (?:from|at|with|of|@|working (?:at|for)) (?:the )?", True),
        (r"(?:^|[\n.!?,] {0,2})[^\W\d_]+(?: [^\W\d_]+)? (?:here|speaking),? (?:from|at|with) (?:the )?", True),
        (r"(?:^|\s)[-~/]{1,2} ?[^\W\d_]+(?: [^\W\d_]+){0,2},? (?:from|at|@) ", True),
        (r"\b(?:started|start|joined|joining|employed|hired) (?:at|by|with) ", False),
        (r"\b(?:took over|acquired by|bought by|taken over by|joined|part of|merged with|owned by|subsidiary of) (?:the )?", False),
        (r"\b(?:i|we|who|he|she|they) (?:work|works|worked|working|consult) (?:at|for|with) (?:the )?", False),
        (r"\bon behalf of (?:the )?", True),
        (r"\b(?:our|my|the|their) (?:company|firm|start-?up|agency|employer|organi[sz]ation|business|studio|school|university|clinic|practice|charity|client|customer|parent company|legal entity)(?: name)?(?:,| is called| is named| is| called| named| name is| name:|:){1,2} ", False),
        (r"\b(?:company|organi[sz]ation|business|firm|employer|legal|billing|org) ?(?:name|entity)?[ ]?: ", False),
        (r"\b(?:company|organi[sz]ation|business|legal|billing|workspace|team) name (?:is|from|to|should be|reads|says|was|on the invoice is) (?:\"|')?", False),
        (r"\b(?:all of us|we|us|people|folks|team|everyone|everybody|colleagues|someone|work|here|over|engineers?|developers?|admin|office|contractors?|consultant|employees?|manager|lead|head of \w+|director) (?:here )?at (?:the )?", False),
        (r"\b(?:invoice|bill|billed|made out|contract|registered|addressed) (?:to|for|with|under) (?:the )?", False),
        (r"\bwe(?:'re| are) (?:called |at |from )?(?!on\b|in\b)[\"']?", False),
        (r"\b(?:renamed|rebranded|rebranding|merged|acquired|bought|changed(?: our name)?)(?: the company| ourselves)? (?:from|to|as|by|with|into) (?=[A-Z])", False),
        (r"\bfrom (?=[^\W\d_]+(?: [^\W\d_]+)?,? (?:again|here)\b)", True),
    )
)  # fmt: skip
_THE_X_TEAM = re.compile(
    r"\b(?:[Tt]he|[Oo]ur|[Yy]our|[Aa]n?) (?:(?P<x>[A-Z][a-z]+(?: [A-Z][a-z]+)?) (?:team|office|account|workspace)|"
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
            if match[0] != scan.vendor.name and match[0] not in _NOT_NAMES and unknown:
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
        if word in lists.common or word in lists.given_names or word in _NOT_NAMES or len(word) < 2:
            return None
    if all(token in lists.common for token, _ in tokens) and tokens[0][0] in _NOT_NAMES | {
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
        first, *others = scan.lower[match.start(group) : match.end(group)].split()
        if all(part in lists.common for part in first.split("-")):
            continue
        known = lists.common | TOOLS | scan.vendor.tools | {scan.vendor.name}
        if (
            first not in known
            and first not in lists.given_names
            and not any(w in known for w in others)
        ):
            yield match.span(group)
    yield from _signature_companies(scan)


_LEADING = frozenset(
    "for from to at with by our we the my is and this that company of on in please use hi hello it's".split()
)


def _signature_companies(scan: Scan) -> Iterator[Span]:
    lines = _lines(scan)
    block = _signature(scan, lines)
    if block:
        for start, end in block[1]:
            lead = re.match(
                r"[ ]?[,|(/@\u2022\u00b7-]+[ ]?| (?:from|at|with|of) |", scan.text[start:end]
            )
            yield from _segments(scan, start + (lead.end() if lead else 0), end)
    for index, (start, end) in enumerate(lines[:-1]):
        same_line = _SAME_LINE_CLOSE.search(scan.text[start:end])
        if not (_CLOSING_LINE.match(scan.text[start:end]) or same_line):
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
        tokens = [token for token in re.findall(r"[^\W\d_]+", scan.lower[begin:stop])]
        job = any(token in _JOB_WORDS for token in tokens) and len(tokens) <= 4
        legal = bool(tokens) and tokens[-1] in _LEGAL | _GENERIC
        if finish is not None and finish >= stop - 2 and tokens and (not job or legal):
            if len(tokens) > 1 or tokens[0] not in words().common:
                yield begin, finish
        position = part.end() if part else end


def mail_hosts(scan: Scan) -> Iterator[Span]:
    """Positions of hosts written as ``@acme.example``, the mail domain of a customer."""
    if "@" not in scan.text:
        return
    for match in _MAIL_HOST.finditer(scan.text):
        host = match["x"].lower()
        if not scan.vendor.owns_host(host) and host not in _MAIL_HOSTS and host != "example.com":
            yield match.span("x")


def index_of(names: Iterable[str], companies_known: Iterable[str], emails: Iterable[str]) -> Known:
    """A :class:`Known` of plain lists; empty entries are dropped."""
    return Known(
        tuple(filter(None, (name.strip() for name in names))),
        tuple(filter(None, (name.strip() for name in companies_known))),
        tuple(filter(None, (mail.strip() for mail in emails))),
    )
