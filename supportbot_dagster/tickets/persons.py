"""Persons' names that context gives away.

What lives here: the places of a message in which people name themselves and others: greeting,
sign-off, introduction, signature, "my colleague X". What does not: names known beforehand
(:mod:`supportbot_dagster.tickets.known`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from supportbot_dagster.tickets.rule import Scan
from supportbot_dagster.tickets.words import PARTICLES, TOOLS, word_set, words

Span = tuple[int, int]
SURNAME_WORDS = word_set(
    "baker banks bell berry bird black brook brooks brown bush carter castle chase church clay "
    "cole "
    "cook cooper cross day dean field fields fisher ford forest fox french frost gates german gray "
    "green grant grove hall harper hart hill hood hope hunt hunter judge key king knight lake lamb "
    "lane law little long love marsh mason miller mills moon moore moss north page palmer park "
    "parker parks perry pope porter potter powers price prince reed rich ridge rivers rose savage "
    "sharp shaw shepherd short silver singer small smart smith snow spark sparrow stone strong "
    "summers swan sweet swift tanner taylor thorn tower town turner vale walker wall ward waters "
    "weaver webb west wheeler white wild winter wolf wood woods wright young archer butcher "
    "carpenter farmer freeman sailor"
)
_AFTER_PARTICLE = re.compile(r"(?: (?:de|der|den|la|las|los|du))? ?[A-Z\u00c0-\u00de]")
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['.\-](?=[^\W\d_]))*")
NOT_NAMES = word_set(
    "team support all everyone everybody folks guys there again sir madam admin friends people "
    "someone somebody anyone you me us him her them it this that both the a an my our your "
    "bonjour groetjes mahalo cheers merci respectfully faithfully sincerely gruezi salaam grazie "
    "bye bless sirs truly cordially ciao "
    "thanks hello hey hi dear servus namaste aloha danke gracias obrigado obrigada yours yrs "
    "regards wishes greetings grusse gruss grussen grusze hugs sent best kind warm"
)


def _is_name_word(word: str, folded: str, scan: Scan, *, strong: bool) -> bool:
    """Whether a capitalised word can be a person's name."""
    lists = words()
    base = folded.removesuffix("'s")
    if base in NOT_NAMES or base in TOOLS or base in scan.vendor.tools or base == scan.vendor.name:
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
            if not _AFTER_PARTICLE.match(scan.text, stop):
                break
        elif word[0].isupper():
            initial = (
                len(word) == 1 and count > 0 and scan.text[stop : stop + 1] in {".", "", "\n", ","}
            )
            if initial:
                stop += scan.text[stop : stop + 1] == "."
            elif count == 0:
                if len(word) == 1 or not _is_name_word(word, folded, scan, strong=strong):
                    return None
            elif not (
                _is_name_word(word, folded, scan, strong=folded in SURNAME_WORDS or strong)
                # "Howard Finch" on a line of its own: the second word is a name, whatever it means
                or (strong and re.match(r"[ ]?(?:[,|(]|\n|$)", scan.text[stop : stop + 3]))
            ):
                break
        else:
            known_given = folded in lists.given_names and len(folded) >= 3
            unknown = (
                lower == "any"
                and folded not in lists.common
                and folded not in TOOLS
                and folded not in NOT_NAMES
                and folded != scan.vendor.name
                and folded not in scan.vendor.tools
                and "'" not in folded
                and not folded.endswith(("ing", "ed", "ly"))
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
    r"(?:many thanks|thanks|thank you|thx|tnx|ty|tia|cheers|all the best|(?:my |very |with "
    r")?(?:best|kind|kindest|warm|"
    r"warmest)(?: (?:regards|wishes))?|regards|rgds|br|kr|sincerely|yours(?: (?:sincerely|truly|"
    r"faithfully))?|"
    r"ta|respectfully|cordially|take care|talk soon|ciao|greetings|have a (?:nice|great|good|"
    r"lovely)[\w ]{0,20}|"
    r"looking forward[\w ]{0,30}|hope (?:this|that) helps|mit freundlichen gr\w{2,6}|mfg|lg|vg|"
    r"viele gr\w{2,6}|"
    r"cordialement|saludos|un saludo|atentamente|abra\u00e7os|xo|xx|love|peace|warmly|sent|"
    r"appreciated)"
)
CLOSING_LINE = re.compile(
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
    r"(?:hi|hello|hey|hiya|heya|dear|good (?:morning|afternoon|evening|day)|morning|afternoon|"
    r"hallo|hola|bonjour|"
    r"ciao|moin|greetings|salut|aloha|kia ora|gr\u00fcezi|namaste|servus|salaam|shalom|guten tag|"
    r"gr\u00fc\u00df gott|ol\u00e1)"
)
_HONORIFIC = (
    r"(?:(?:mr|mrs|ms|mx|miss|messrs|dr|prof|captain|judge|father|sister|herr|frau|mme|"
    r"madame|monsieur|se\u00f1ora?|sr|sra)\b\.? )"
)
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
            r"\b(?:thanks|thank you|thx|cheers|merci|danke|gracias|ty)(?: so much| a lot| again| "
            r"very much| a bunch| loads)?,? "
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
            r"\b(?:cc|cc'?ing|cc'?ed|bcc|attn|fao|copying(?: in)?|copied(?: in)?|looping in|loop "
            r"in|adding)[:.]? (?:my (?:colleague|boss|manager) )?"
        ),
        "given",
        False,
        gate=("cc", "attn", "fao", "cop", "loop", "adding"),
    ),
    _Place(
        _p(
            r"\bmy (?:(?:full|first|last|given|family|legal|real|maiden|middle|sur) ?)?name(?:'s|"
            r" is| was|:| =) ?(?:is )?"
        ),
        "any",
        True,
        gate=("name",),
    ),
    _Place(
        _p(
            r"^[ ]*(?:(?:full |first |last |contact |display |account |requester |billing |your |"
            r"customer )?(?:name|contact(?: person)?)|from|to|cc|requester|submitted by|sent by|"
            r"reported by|signed(?: by)?|author|attn|contact)[ ]?:[ ]{1,3}" + _HONORIFIC + r"?"
        ),
        "",
        True,
        gate=(":",),
    ),
    _Place(
        _p(
            r"\b(?:name|surname|display name) (?:from|to|as|is|of|on it is|reads|says|should be|"
            r"shows|still says|spelled|spelt) [\"']?"
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
            r",? (?:here|from (?:the )?(?!(?:my|our|your|a|an)\b)\w+|at \w+|speaking|writing|"
            r"again)\b"
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
            r"\b(?:they |people |everyone |you can |please |just )?calls? me (?!at\b|on\b|back\b|"
            r"when\b|if\b)"
        ),
        "given",
        True,
        gate=("call",),
    ),
    _Place(
        _p(_HONORIFIC),
        "any",
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
            r"\b(?:colleagues?|co-?workers?|team ?mates?|boss|bosses|manager|supervisor|cto|ceo|"
            r"coo|cfo|vp|director|assistant|intern|wife|husband|spouse|daughter|son|brother|"
            r"sister|mother|father|contractor|freelancer|accountant|bookkeeper|friend|"
            r"co-?founder|founder|predecessor|successor|new (?:hire|starter|joiner)|secretary|"
            r"consultant)s?,?(?: named| called| is called| is|:)? (?:" + _HONORIFIC + r")?"
        ),
        "given",
        True,
    ),
    _Place(
        _p(
            r"\b(?:colleagues?|co-?workers?|team ?mates?|boss|manager|assistant|intern|wife|"
            r"husband|contractor|friend|someone|guy|person|woman|man|user|member|guest|agent|rep|"
            r"employee|girl|lady|teammate) (?:named|called|whose name is|by the name of) "
        ),
        "any",
        True,
        gate=("named", "called", "name"),
    ),
    _Place(
        _p(
            r"\b(?:our|my|an?|another|former|new) (?:[\w\-]+ ){0,2}(?:guy|girl|lady|man|woman|"
            r"person|people|owner|admin|administrator|lead|designer|developer|"
            r"engineer|lawyer|auditor|accountant|bookkeeper|intern|manager|contractor|employee|"
            r"consultant|boss|colleague|pm|tester|analyst|architect|"
            r"freelancer|dev|sysadmin|secretary|vendor contact|contact|teammate|founder|"
            r"volunteer|student|teacher|trainee|temp|agent|rep)(?:, |: | named | called | is | "
            r"\(| )" + _HONORIFIC + r"?"
        ),
    ),
    _Place(
        _p(r"\b(?:me and|me &|myself and|both me and|only me and|either me or|neither me nor) "),
        "given",
        gate=("me ", "myself "),
    ),
    _Place(
        _p(
            r"\b(?:designers?|developers?|engineers?|lead|owner|admins?|administrator|members?|"
            r"users?|guests?|agents?|reps?|employees?|pm|product manager|project manager|account "
            r"manager|head of \w+|qa|tester|assignee|requester|creator|author|customer|client),? "
            r"(?:is |was |named |called |: ?)?"
        ),
        "",
        False,
        given_only=True,
    ),
    _Place(
        _p(
            r"\b(?:asked|told|spoke (?:to|with)|spoken (?:to|with)|speak(?:ing)? (?:to|with)|"
            r"talk(?:ed|ing)? (?:to|with)|chatt?(?:ed|ing)? (?:to|with)|heard (?:back )?from|"
            r"e-?mail from|reply from|answer from|message from|help from|met with|hired|pinged|"
            r"ping|in touch with|emailed|helped by|per) "
        ),
        "given",
        False,
    ),
    _Place(
        _p(
            r"\b(?:ask|tell|invite|invited|inviting|add|added|adding|remove|removed|removing|"
            r"replace|replaced|assign(?:ed)? (?:it |this |them |all |everything )?to|belong(?:s|"
            r"ed)? to|from|by|for|to|with|and|contact|contacted|made|make|gave|give|let|is|was|"
            r"but|when|since|because|that|if|after|before|until|so|as|about|only) "
        ),
        "",
        False,
        given_only=True,
    ),
)
_LOWER_GIVEN = re.compile(
    r"\b(?:ask|asked|tell|told|invite|invited|remove|removed|add|added|replace|replaced|and|with|"
    r"by|from|for|to|only|let|make|made|gave|colleague|when|because|but|that|if|assigned to) "
    r"(?P<n>[^\W\d_]{4,})\b|\b(?P<m>[^\W\d_]{4,})(?='s \w| (?:said|told|asked|says|cant|can't|"
    r"left|quit|invited|deleted|created|mentioned|replied|and i)\b)"
)
_NAME_THEN = re.compile(
    r"(?<![\w>/.])(?P<n>[A-Z\u00c0-\u00de][^\W\d_]+(?:[ "
    r"-][A-Z\u00c0-\u00de][^\W\d_]+){0,2})(?=(?:'s (?:last day|laptop|phone|account|seat|email|"
    r"e-mail|contract|calendar|manager|team|birthday|name|issues|login|invite|card)|"
    r",? (?:here|speaking)(?: from| at| with|[,.!:;-]|$)| (?:told|said|says|asked|mentioned|quit|"
    r"replied|wrote|claimed|claims|thinks|thought|insists|swears|reckons|complained|noticed|"
    r"wants|wanted|remembers|forgot|showed|explained|promised|looked|requested|resigned|joined "
    r"us|who left|who works|left (?:the|our|us|last|in|on|yesterday))\b|"
    r" (?:from|in) (?:our|your|hr|accounting|accounts|finance|sales|marketing|legal|engineering|"
    r"design|ops|it|product|procurement|support|qa)\b|"
    r",? (?:\()?(?:our|my) (?:new |former |old |other |lead |senior |junior )?(?:admin|boss|"
    r"manager|cto|ceo|cfo|coo|colleague|designer|developer|engineer|intern|contractor|accountant|"
    r"teammate|lead|pm|assistant|owner|co-?founder|founder|product|project|qa|team|head|it\b|"
    r"bookkeeper|client)))",
    re.MULTILINE,
)
_AND_ME = re.compile(
    r"(?<![\w>/.])(?P<n>[A-Z\u00c0-\u00de][^\W\d_]+(?: [A-Z\u00c0-\u00de][^\W\d_]+)?)(?= (?:and|"
    r"&) (?:i|me|myself)\b)"
)
_LAST_WORD = re.compile(
    r"[.!?)][ ]{1,2}(?P<n>[A-Z\u00c0-\u00de][^\W\d_]+(?:[ "
    r"-][A-Z\u00c0-\u00de][^\W\d_]+){0,2})[.! ]*\Z"
)
_LOWER_HERE = re.compile(
    r"(?:^|[.!?,\n]\s*|\b(?:hi|hello|hey)[,!]? )(?P<n>[^\W\d_]{2,20}(?: [^\W\d_]{2,20})?) "
    r"here(?: from| at|[,.!:]|$)",
    _I,
)
_BEFORE_MAIL = re.compile(
    r"(?P<n>[A-Z\u00c0-\u00de][\w'.\-]{1,25}(?:[ ][A-Z\u00c0-\u00de][\w'.\-]{0,25}){0,3})(?:[ "
    r",:]{0,2}[ ]?[<(\[]|[ ,:]{1,2}[ ]?)(?:mailto:)?[\w.+\-]{1,64}@[\w\-]{1,63}\."
)
_CAPITALISED = re.compile(r"(?<![\w>@/.'\-])[A-Z\u00c0-\u00de][^\W\d_]{2,}")
SAME_LINE_CLOSE = re.compile(
    r"(?:^|[\n.!?,;)] {0,2})"
    + _CLOSER
    + r"[,!.;:]?(?: in advance| again| a lot| so+ much| guys| all)?[,!.;:]?(?: ?[-~]{1,2})? "
    r"(?=[^\n]{2,60}$)",
    _I,
)
_DASH_LINE = re.compile(
    r"(?:^|[.!?,;)]\s{1,2}|\n)[ ]*[-~/]{1,3}[ ]?(?=[^\W\d_])|(?<=[\w)])[ ](?:/|-{2})[ "
    r"]?(?=[^\W\d_]+[ ]*,?[ ]*\Z)",
    re.MULTILINE,
)
_FIRST_WORD = re.compile(
    r"\A(?P<n>[A-Z\u00c0-\u00de][^\W\d_]+), (?=(?:thanks|thank|good|great|sorry|you|your|the|"
    r"that|this|we|yes|no|sure|happy|it|i|in|to|there|please|glad)\b)",
    re.IGNORECASE,
)
_GREETED = re.compile(
    r"\A\W*" + _GREETING + r"(?: there| again)? (?P<n>[A-Z\u00c0-\u00de][^\W\d_]+)(?=[ ]?[,!])",
    re.IGNORECASE,
)
_GROUPS = word_set(
    "support billing sales team world people friends again all help helpdesk customer customers "
    "service care crew gang dear good "
    "morning afternoon evening everyone everybody folks guys there sir madam desk colleagues "
    "admin admins staff security accounts "
    "engineering development product success tech ladies gentlemen both you user users humans "
    "human robot bot"
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
        if word not in _GROUPS | NOT_NAMES and word != scan.vendor.name:
            yield greeted.span("n")
    for match in _INITIAL.finditer(scan.text):
        if scan.lower[match.start("s") : match.end("s")] not in lists.common | TOOLS:
            yield match.span()
    last = _LAST_WORD.search(scan.text)
    if last:
        yield from name_to_line_end(scan, last.start("n"), lower="", strong=True)
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


def lines_of(scan: Scan) -> list[tuple[int, int]]:
    """Start and end of every line that holds text, without the space around it."""
    spans: list[tuple[int, int]] = []
    start = 0
    for line in scan.text.split("\n"):
        lead = len(line) - len(line.lstrip())
        if line.strip():
            spans.append((start + lead, start + len(line.rstrip())))
        start += len(line) + 1
    return spans


def _sign_offs(scan: Scan) -> Iterator[Span]:
    for match in SAME_LINE_CLOSE.finditer(scan.text):
        yield from name_to_line_end(scan, match.end(), lower="any", strong=True)
    for match in _DASH_LINE.finditer(scan.text):
        if scan.text.find("\n", match.end()) < 0 or not scan.text[match.end() :].strip().count(
            "\n"
        ):
            before = scan.text[: match.start()].rstrip("\n")
            previous = before[before.rfind("\n") + 1 :].lstrip()
            if not previous.startswith(("-", "*", "\u2022")):
                yield from name_to_line_end(scan, match.end(), lower="given", strong=True)
    lines = lines_of(scan)
    for index, (start, end) in enumerate(lines):
        if CLOSING_LINE.match(scan.text[start:end]) and index + 1 < len(lines):
            yield from name_to_line_end(scan, lines[index + 1][0], lower="any", strong=True)
    if len(lines) >= 2:
        start, end = lines[-1]
        alone = re.fullmatch(r"[^\W\d_]{3,15}[ :;)(.!-]*", scan.text[start:end]) is not None
        own = scan.text[:start].endswith("\n\n") and len(scan.text) > 40
        lower = "any" if alone and own else "given"
        yield from name_to_line_end(scan, start, lower=lower, strong=False)
    block = signature_block(scan, lines)
    if block:
        yield block[0]


_CONTACT = re.compile(r"\d{3}|@|\bwww\.|://|\biban\b|\bvat\b", re.IGNORECASE)


def signature_block(scan: Scan, lines: list[tuple[int, int]]) -> tuple[Span, list[Span]] | None:
    """The name and the further parts of a signature that ends a message without a closing word."""
    if lines:
        low, high = lines[-1]
        ends = [match.end() for match in re.finditer(r"[.!?)] (?=[^\W\d_])", scan.text[low:high])]
        if ends and high - low - ends[-1] <= 70:
            lines = [*lines[:-1], (low, low + ends[-1] - 1), (low + ends[-1], high)]
    for index in range(len(lines) - 1, max(0, len(lines) - 6), -1):
        start, end = lines[index]
        text = scan.text[start:end]
        if "?" in text or end - start > 110 or CLOSING_LINE.match(text):
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


def name_to_line_end(scan: Scan, start: int, *, lower: str, strong: bool) -> Iterator[Span]:
    """The name that begins at ``start``, if nothing but a signature follows it on the line."""
    while scan.text[start : start + 1] in {" ", "-", "~"}:
        start += 1
    initial = re.match(r"[^\W\d_]\. ?(?=[^\W\d_]{2})", scan.text[start : start + 8])
    low = initial.end() if initial else 0
    end = take_name(scan, start + low, lower=lower, strong=strong)
    if end is None:
        initials = re.match(r"[A-Z]\.?[A-Z]?\.?(?=\s*$|\s*\n)", scan.text[start : start + 8])
        if initials and strong and scan.text[start : start + 2] not in {"OK", "IT", "HR"}:
            yield start, start + initials.end()
        return
    rest = scan.text[end:].split("\n", 1)[0]
    if re.match(r"[ .,!)(:x]*$|[ ]?[^\w\s.,]{1,4}$|[ ]?[,|(/@\-<]| (?:from|at|with) ", rest):
        yield start, end
