"""Persons' names that a turn of phrase announces, whatever the word looks like.

What lives here: places that hardly anything but a name follows ("spoke to quillan in chat", "on
behalf of K. Mbeki", ">> on monday yamamoto kenji wrote:"), names the other way round ("al-Masri,
Samir"), names with initials in small letters, names in file names and lists. What does not: names
that their own form gives away (:mod:`supportbot_dagster.tickets.persons`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from supportbot_dagster.tickets.persons import (
    NOT_NAMES,
    TITLES,
    Span,
    lines_of,
    looks_like_name,
    reader_of,
    take_name,
    token_at,
)
from supportbot_dagster.tickets.rule import Scan, Token, folded_regex
from supportbot_dagster.tickets.words import (
    COMMON,
    GIVEN,
    PARTICLES,
    SURNAME,
    THING,
    fold,
    word_set,
    words,
)

_WORD = r"[^\W\d_](?:[^\W\d_]|['\-](?=[^\W\d_]))*"

_ROLE = (
    r"(?:colleagues?|co-?workers?|team ?mates?|boss|bosses|manager|supervisor|cto|ceo|coo|cfo|vp|"
    r"director|assistant|intern|contractor|freelancer|accountant|book ?keeper|co-?founder|"
    r"predecessor|successor|secretary|consultant|designer|developer|engineer|lawyer|solicitor|"
    r"auditor|administrator|admin|analyst|receptionist|technician|trainee|apprentice|volunteer|"
    r"treasurer|caretaker|principal|deputy|sysadmin|controller|buyer|landlord|tenant|neighbou?r|"
    r"husband|wife|son|daughter|brother|sister|mother|father|mum|dad|flatmate|roommate|cousin|"
    r"nephew|niece|fiancee?|boyfriend|girlfriend|partner)"
)
_SPOKE = (
    r"(?:spoke|speak|spoken|speaking|talk|talked|talking|chat|chatted|chatting|dealt|dealing|met|"
    r"worked|wrote|written|reported|reports|belong|belongs|belonged|assigned|assign|reassign|"
    r"reassigned|transfer|transferred|handed|hand|hand it|forward|forwarded|escalated|deliver|"
    r"delivered|addressed|ship|shipped|release|released|back|listen|complain|complained)"
)
# before a name in small letters: nothing but a name or a word for somebody follows
_PLACES: tuple[tuple[re.Pattern[str], frozenset[str], bool], ...] = tuple(
    (folded_regex(pattern), word_set(cues), sure)
    for pattern, cues, sure in (
        (
            r"\b" + _SPOKE + r" (?:to|with) (?:someone called |somebody called )?",
            "spoke speak spoken speaking talk talked talking chat chatted chatting dealt dealing "
            "met worked wrote written reported reports belong belongs belonged assigned assign "
            "reassign reassigned transfer transferred handed hand forward forwarded escalated "
            "deliver delivered addressed ship shipped release released back listen complain "
            "complained",
            False,
        ),
        (
            r"\b(?:loop(?:ing|ed)? in|copy(?:ing)? in|copying|looping|bring in|brought in|ask for|"
            r"asked for|asking for|speak with|on behalf of|in the name of|replaced by|signed by|"
            r"signed for by|taken over by|cancelled by|sent by|uploaded by|approved by|created by|"
            r"deleted by|edited by|changed by|submitted by|opened by|assigned by|invited by|"
            r"reported by|typed by|booked by|ordered by|cared for by|led by|run by|made by)[ ]",
            "loop looping looped copy copying bring brought ask asked asking speak behalf name "
            "replaced signed taken cancelled sent uploaded approved created deleted edited changed "
            "submitted opened assigned invited reported typed booked ordered cared led run made",
            False,
        ),
        (
            r"(?:^|[\n.,;(] ?)(?:b?cc|attn|att|fao|f\.a\.o|attention|c/o|z\.? ?hd\.?|zhd|"
            r"t\.a\.v\.?|"
            r"a/c)(?:'?(?:ing|d|ed))?(?: to)?[ ]?[:.\-]{0,2}[ ]",
            "cc bcc attn att fao attention c zhd z t a f",
            True,
        ),
        (
            r"\b(?:cc'?(?:ing|d|ed)|bcc'?(?:ing|d|ed)|cc)[ ]?:?[ ]",
            "cc'ing cc'd cc'ed ccing ccd cc bcc cced bcced",
            True,
        ),
        (
            r"\b(?:my|our|the|his|her|their|your|a|former|new|old|another)[ ](?:[a-z]{3,12}[ ])?"
            + _ROLE
            + r"(?:,| is|'s name is| is called| called| named|:| -)?[ ]",
            "my our the his her their your a former new old another",
            False,
        ),
        (
            r"\b(?:someone|somebody|person|guy|lady|woman|man|agent|rep|colleague|employee|user|"
            r"customer|member|boy|girl|people|dog|child|kid) (?:called|named|by the name of|with "
            r"the "
            r"name|who goes by)[ ]",
            "called named name goes",
            True,
        ),
        (
            r"\b(?:call me|calls me|calling me|call her|call him|addressing me as|address me as|"
            r"addressed me as|known as|name is|names is|named|i am called|greets me as|greet me as|"
            r"greeted me as|listed as|registered as|spelled|spelt|listed under|user name of|"
            r"the name|first name|last name|given name|surname|maiden name|middle name)[ ]"
            r"(?:is |was |of )?[\"']?",
            "call calls calling addressing address addressed known name names named called greets "
            "greet greeted listed registered spelled spelt given surname maiden",
            False,
        ),
    )
)
_WROTE = re.compile(
    r"(?:^|\n)[> ]{0,8}(?:(?:on|am|le|el|il|op|den|em|dnia)[ ][^\n]{0,50}?)?"
    r"(?P<x>" + _WORD + r"(?:[ ]" + _WORD + r"|[ ][^\W\d_]\.){0,3})"
    r"(?:[ ][<(\[][^\n<>]{3,60}[>)\]])?[ ]"
    r"(?:wrote|schrieb|a ecrit|escribio|escreveu|ha scritto|scrisse|schreef|skrev|napisal|napisala)"
    r"[ ]?:"
)
_WHEN = word_set(
    "monday tuesday wednesday thursday friday saturday sunday on at montag dienstag mittwoch "
    "donnerstag freitag samstag sonntag lundi mardi mercredi jeudi vendredi samedi dimanche lunes "
    "martes miercoles jueves viernes sabado domingo january february march april may june july "
    "august september october november december jan feb mar apr jun jul aug sep sept oct nov dec "
    "mon tue wed thu fri sat sun am pm utc cet gmt yesterday today um uhr"
)
_CHAT = re.compile(
    r"(?:^|\n)[ >]{0,4}(?:\[[^\]\n]{3,30}\]|\(?\d{1,2}[:.]\d\d(?:[:.]\d\d)?(?: ?[ap]m)?\)?"
    r"(?: [a-z]{2,4}\b)?)[ \-]{0,3}(?P<x>"
    + _WORD
    + r"(?:[ ]"
    + _WORD
    + r"){0,2})(?: \([^)\n]{2,20}\))?:[ ]"
)
_SPEAKERS = word_set(
    "me you i bot agent support customer user system admin operator chat chatbot assistant server "
    "client error warn warning info debug fatal note caller visitor guest host visitor owner them "
    "us team help trace notice failed started status stdout stderr exception"
)
_INITIALS = re.compile(
    r"(?<![\w.@/\\\-])(?P<i>[a-z]\.[ ]?(?:[a-z]\.[ ]?)?)(?P<s>[a-z][a-z'\-]{2,24})(?![\w@=(])"
)
_FIRST_BEFORE = re.compile(r"(?<![\w'\-])[^\W\d_]{2,20}(?= \Z)")
_TURNED_INITIALS = re.compile(
    r"(?<![\w@./-])(?P<x>(?P<s>[A-Z\u00c0-\u00de][a-z\u00df-\u00ff]{2,20}), [A-Z]\.(?:[ "
    r"\-]{0,2}[A-Z]\.){0,2})(?!\w)"
)
_HOUSEHOLD = re.compile(
    r"\b(?:[Tt]he|[Mm]y|[Oo]ur) (?P<x>[A-Z\u00c0-\u00de][\w'\-]{2,24}) "
    r"(?:family|household|twins|brothers|sisters|siblings|residence|couple)\b"
)
_HOUSEHOLDS = word_set("family household twins brothers sisters siblings residence couple")
_FOR_ANOTHER = word_set("behalf p pp i obo")
_SENT = word_set("sent written typed gesendet envoye enviado verzonden inviato")
_WRITES = word_set(
    "wrote schrieb ecrit escribio escreveu scritto scrisse schreef skrev napisal napisala"
)
_FIRST = re.compile(
    r"\s*(?P<x>"
    + _WORD
    + r"(?: "
    + _WORD
    + r")?)(?:,|!| -) (?:hello|hi|hey|good (?:morning|day|afternoon|"
    r"evening)|thanks|thank you|thx|please|pls|could|can|would|how|what|i|we|this|me again|sorry|"
    r"as|just|you|one more|quick|any)\b"
)
_FIRST_ADDRESSED = re.compile(
    r"\s*(?:ok|okay|right|so|well|yes|no|yo|oh|ah|sorry|great|perfect|again|welcome|hi again|"
    r"hello again|"
    r"hey there|good one|alright|thanks again|sure|hmm|hi there|hiya|salut|selam|hallo|hi|hello|"
    r"hey|dear) "
    r"(?P<x>" + _WORD + r"(?: " + _WORD + r")?)(?:[,!.] ?\n|[,!.]? ?\n|, )"
)
_LAST = re.compile(
    r"(?:[.!?\n)\u2026]\s{1,3}|\A)(?P<b>"
    + _WORD
    + r"(?: "
    + _WORD
    + r"){0,2},? )(?P<x>"
    + _WORD
    + r")[ .!)(:x]{0,4}\s*\Z"
)
_SENT_FROM = re.compile(
    r"(?:^|[\n.!?] ?)(?:sent|written|typed|gesendet|envoye|enviado|verzonden|inviato) (?:from|via|"
    r"by|on|von|depuis|de|desde|vanaf|da) "
    r"(?:my |mon |mi |mijn |meinem |meu |mio |the )?(?:i?phone|i?pad|mobile|android|handy|"
    r"samsung(?: galaxy)?|tablet|"
    r"phone|iphone|cell|blackberry|portable|movil|telefoon|celular|train|bus|airport|"
    r"(?:outlook|gmail|yahoo mail|mail)(?: for \w+)?)[,.\-\n ]{1,4}"
)
_BEHALF = re.compile(
    r"(?:^|[\n.!?] ?)(?P<x>(?:[a-z]\. ?)?"
    + _WORD
    + r"(?: (?:[a-z]\. ?)?"
    + _WORD
    + r"){0,2})(?:,| -)? "
    r"(?:on behalf of|for and on behalf of|p\.p\.|pp|i\.a\.|i\.v\.|obo)[ ]"
)
_ITEM = re.compile(
    r"(?:^|\n)[ ]{0,4}(?:[-*\u2022]|\d{1,2}[.)])[ ]{1,2}(?P<x>"
    + _WORD
    + r"(?:[ ]"
    + _WORD
    + r"){0,2})"
    r"(?=[ ]?(?:\n|\Z|\(|,|:|-|\u2013))"
)
_FILE = re.compile(
    r"(?<![^\W_])(?P<x>[^\W\d_]{3,20}[_\-][^\W\d_]{3,20})(?=(?:[_\-]\d{1,8})?\.(?:jpe?g|png|pdf|"
    r"docx?|xlsx?|"
    r"csv|heic|txt|zip|eml|vcf|mp4|mp3|wav|msg)\b)"
)
_ONE_FILE = re.compile(
    r"[_\-](?P<x>[^\W\d_]{4,30})(?=\d{0,4}\.(?:jpe?g|png|pdf|docx?|heic|eml|vcf|mp4|mp3|wav|msg)\b)"
)
_FOLDER = re.compile(
    r"[/\\](?P<x>(?:[^\W\d_]\.|" + _WORD + r")(?:[ ]" + _WORD + r"){1,2})(?=[/\\\"'])"
)
_SEEN = re.compile(
    r"\bwho(?:'s| is| was| are)[ ](?P<x>"
    + _WORD
    + r"(?:[ ]"
    + _WORD
    + r"|[ ][a-z]\.){0,3})(?=[?,.]|$)"
)
_NEXT = re.compile(r"[ ]?(?:,|&|/|\+|;|and|und|et|y|e|or|plus)[ ]{1,2}(?:and |also |maybe )?")
_TOP = re.compile(r"[a-z]{3,}")


def _is_slip(word: str) -> bool:
    """Whether a word is probably a misspelled one: a letter too many, missing or misplaced."""
    common = words().common
    if len(word) < 3:
        return True
    for at in range(len(word)):
        if word[:at] + word[at + 1 :] in common:
            return True
        if at + 1 < len(word) and word[:at] + word[at + 1] + word[at] + word[at + 2 :] in common:
            return True
        if at and any(word[:at] + c + word[at:] in common for c in "aeioulnrst"):
            return True
    return False


def lower_name(scan: Scan, start: int, *, sure: bool) -> int | None:
    """The end of a name in small letters, or None.

    Args:
        sure: nothing but a name stands here, so that words in no list count.
    """
    index = token_at(scan, start)
    if index is None:
        return None
    tokens, text = scan.tokens, scan.text
    at, end = index, start
    names = unknown = 0
    while at < len(tokens) and at - index < 4:
        token = tokens[at]
        low, kind = token.low, token.kind
        if at > index and token.gap not in {" ", ". ", "."}:
            break
        if at > index and token.gap != " " and len(tokens[at - 1].text) > 1:
            break
        if token.code or not token.text.islower() or low in scan.vendor.words:
            break
        if len(low) == 1:
            if text[token.end : token.end + 1] != "." or at + 1 >= len(tokens):
                break
        elif low in PARTICLES and names + unknown and at + 1 < len(tokens):
            pass
        elif low in NOT_NAMES or low in TITLES:
            break
        elif kind & (GIVEN | SURNAME) and not kind & (COMMON | THING):
            names += 1
            end = token.end
        elif kind & (GIVEN | SURNAME) and not kind & THING:
            # "will field", "mark": words unless something else says they are names
            if at > index and not _closed(text, token.end):
                break
            if at == index and not (
                (sure and _closed(text, token.end))
                or (
                    at + 1 < len(tokens)
                    and tokens[at + 1].gap in {" ", ". "}
                    and (
                        tokens[at + 1].kind & (GIVEN | SURNAME)
                        or not tokens[at + 1].kind
                        or (len(tokens[at + 1].text) == 1 and tokens[at + 1].low not in "ai")
                    )
                )
            ):
                break
            names += 1
            end = token.end
        elif not kind and len(low) > 2 and "'" not in low:
            if not names and not sure and _is_slip(low):
                break
            unknown += 1
            end = token.end
        else:
            break
        at += 1
    if end == start:
        return None
    return end if names or (unknown and (sure or unknown >= 1)) else None


def _closed(text: str, end: int) -> bool:
    after = text[end : end + 1]
    return after in {"", ",", ".", ";", ":", ")", "!", "?", "\n", '"', "/"} or text.startswith(
        (
            " and ",
            " (",
            " -",
            " at ",
            " in ",
            " from ",
            " is ",
            " has ",
            " &",
            "'s ",
            " on ",
            " who ",
        ),
        end,
    )


def _name_at(scan: Scan, start: int, *, sure: bool) -> int | None:
    """The end of a name that begins at ``start``, in whatever letters."""
    if scan.text[start : start + 1].islower():
        return lower_name(scan, start, sure=sure)
    return None


def _listed(scan: Scan, start: int, *, sure: bool) -> Iterator[Span]:
    """The name at a place, and those that follow it in a row."""
    position: int | None = start
    for _ in range(8):
        if position is None:
            return
        if scan.text[position : position + 1].isupper():
            end = take_name(scan, position, strong=True)
            index = token_at(scan, position)
            if end is None or index is None or (not sure and scan.tokens[index].kind & THING):
                return
            if scan.tokens[index].kind & COMMON and not sure:
                return
            if scan.text[position:end].isupper() and reader_of(scan).shouted:
                return
        else:
            end = lower_name(scan, position, sure=sure)
        if end is None:
            return
        yield position, end
        follow = _NEXT.match(scan.lower, end)
        position = follow.end() if follow else None
        sure = sure and follow is not None and follow[0].strip() not in {"or"}


def _plain(token: Token) -> bool:
    return bool(token.kind & (COMMON | THING)) and not token.kind & (GIVEN | SURNAME)


def names_told(scan: Scan) -> Iterator[Span]:
    """Positions of names that the words or signs around them give away."""
    text, lower, vocabulary = scan.text, scan.lower, scan.vocabulary
    kind = words().kind
    for pattern, cues, sure in _PLACES:
        if scan.prefilter and cues.isdisjoint(vocabulary):
            continue
        for match in pattern.finditer(lower):
            yield from _listed(scan, match.end(), sure=sure)
    if ":" in text:
        for match in _WROTE.finditer(lower) if _WRITES & vocabulary else ():
            yield from _last_words(scan, match.start("x"), match.end("x"))
        if scan.digits:
            for match in _CHAT.finditer(lower):
                parts = match["x"].split()
                if not any(part in _SPEAKERS or part in NOT_NAMES for part in parts) and (
                    (
                        len(parts) > 1
                        and all(kind(p) & (GIVEN | SURNAME) or not kind(p) for p in parts)
                    )
                    or (len(parts) == 1 and (kind(parts[0]) & GIVEN or not kind(parts[0])))
                ):
                    yield match.span("x")
    if "." in text:
        for match in _INITIALS.finditer(lower):
            yield from _with_initial(scan, match)
    if ", " in text:
        for match in _TURNED_INITIALS.finditer(text):
            if not kind(fold(match["s"])) & (COMMON | THING):
                yield match.span("x")
    yield from _turned(scan)
    if not _HOUSEHOLDS.isdisjoint(vocabulary):
        for match in _HOUSEHOLD.finditer(text):
            if not kind(fold(match["x"])) & (COMMON | THING):
                yield match.span("x")
    yield from _in_a_row(scan)
    yield from _frame(scan)
    if "." in text and ("_" in text or "-" in text):
        yield from _in_file_names(scan)
    if "/" in text or "\\" in text:
        for match in _FOLDER.finditer(lower):
            parts = match["x"].split()
            kinds = [kind(part) for part in parts]
            if not any(bits & THING or (bits & COMMON and not bits & GIVEN) for bits in kinds) and (
                any(bits & (GIVEN | SURNAME) and not bits & COMMON for bits in kinds)
                or parts[0][-1] == "."
            ):
                yield match.span("x")
    for match in _ITEM.finditer(lower):
        parts = match["x"].split()
        kinds = [kind(part) for part in parts]
        if any(bits & GIVEN and not bits & (COMMON | THING) for bits in kinds[:1]) and all(
            bits & (GIVEN | SURNAME) or not bits for bits in kinds
        ):
            yield match.span("x")
    if "who" in lower:
        for match in _SEEN.finditer(lower):
            end = lower_name(scan, match.start("x"), sure=True)
            if end is not None:
                yield match.start("x"), end


def _turned(scan: Scan) -> Iterator[Span]:
    """Names as registers print them: "al-Masri, Samir", "OKONKWO Chidi", "Anke DE VRIES"."""
    before: Token | None = None
    reader = reader_of(scan)
    shouted = reader.shouted
    if reader.products() and reader._names_product():
        return
    for number, token in enumerate(scan.tokens):
        last, before = before, token
        if last is None or last.code or token.code:
            continue
        if token.gap == ", ":
            if token.kind & GIVEN and not shouted and _is_turned(scan, number):
                start = last.start
                if number > 1 and last.gap == " " and scan.tokens[number - 2].low in PARTICLES:
                    start = scan.tokens[number - 2].start
                yield start, token.end
        elif token.gap == " " and not shouted and token.cap and last.cap:
            for upper, given in ((last, token), (token, last)):
                if (
                    given.kind & GIVEN
                    and len(upper.text) > 2
                    and upper.text.isupper()
                    and looks_like_name(given)
                    and not upper.kind & (COMMON | THING)
                    and (upper.kind & (SURNAME | GIVEN) or len(upper.text) > 4)
                    and not given.kind & (COMMON | THING)
                ):
                    yield last.start, token.end


def _is_turned(scan: Scan, number: int) -> bool:
    """Whether a family name and a comma stand before a given name."""
    token, last = scan.tokens[number], scan.tokens[number - 1]
    text, surname = scan.text, last.kind
    apart = re.search(r"(?:^|[\n:;(|>\t] ?|\d\. )$", scan.before(last.start, 4)) is not None
    if token.kind & THING or surname & (COMMON | THING):
        return False
    if surname & GIVEN and not (apart and surname & SURNAME):
        return False
    if last.low in NOT_NAMES or last.low in scan.vendor.words:
        return False
    if token.kind & COMMON:
        closed = re.match(r"[ ]*(?:[\n;)|<(]|$)", text[token.end : token.end + 4]) is not None
        return bool(surname & SURNAME) and apart and closed and token.cap
    if surname & SURNAME:
        return True
    if last.cap and token.cap:
        return last.gap == " " or apart
    # "the invite we sent to zeitoun, mariam"
    led = re.search(r"\b(?:to|for|from|with|by|of)[ ]$", scan.before(last.start, 6)) is not None
    return led and not surname and len(last.low) > 3 and not _is_slip(last.low)


def _in_a_row(scan: Scan) -> Iterator[Span]:
    """Names that are words, in a row with one that is not: "we have Jo, Joan and Joanne"."""
    reader = reader_of(scan)
    tokens, products = scan.tokens, reader.products()
    if products and reader._names_product():
        return
    size = len(tokens)
    index = 0
    while index < size - 1:
        token = tokens[index]
        if not token.cap or token.code or not looks_like_name(token):
            index += 1
            continue
        at, run = index, [token]
        while at + 1 < size:
            step = 1
            if tokens[at + 1].low in {"and", "or"} and tokens[at + 1].gap in {" ", ", "}:
                step = 2
            if at + step >= size:
                break
            after = tokens[at + step]
            if not after.cap or after.code or not looks_like_name(after):
                break
            if after.gap not in ({" "} if step == 2 else {", ", " & ", "/", " / "}):
                break
            run.append(after)
            at += step
        if len(run) > 1 and any(t.kind & GIVEN and not t.kind & (COMMON | THING) for t in run):
            plain = all(t.kind & GIVEN or not t.kind for t in run)
            if plain and not any(t.low in products for t in run):
                last = at + 1 < size and tokens[at + 1].cap and tokens[at + 1].gap == " "
                for t in run[: -1 if last else None]:
                    if t.kind & GIVEN and t.low not in scan.vendor.words | NOT_NAMES:
                        yield t.start, t.end
        index = at + 1


def _frame(scan: Scan) -> Iterator[Span]:
    """The name that a message begins with, or ends with after words of no list."""
    text = scan.text
    for pattern in (_FIRST, _FIRST_ADDRESSED):
        match = pattern.match(scan.lower)
        if match is not None:
            start, end = match.span("x")
            if text[start].isupper():
                found = take_name(scan, start, strong=True)
                if found is not None and found >= end:
                    yield start, end
            else:
                found = lower_name(scan, start, sure=True)
                if found is not None and found >= end:
                    yield start, end
    match = _LAST.search(scan.lower, max(0, len(text.rstrip()) - 80))
    if match is not None:
        kind = words().kind
        start, end = match.span("x")
        before = match["b"].split()
        odd = [w for w in before if not kind(w.strip(",")) & (COMMON | GIVEN)]
        bits = kind(match["x"])
        if odd and len(odd) * 2 > len(before) and not bits & THING:
            capital = text[start].isupper() and match["b"].rstrip()[-1:] != ","
            if (
                bits & GIVEN
                or (not bits and text[start].isupper())
                or (capital and not bits & COMMON)
            ):
                yield start, end
    for match in _SENT_FROM.finditer(scan.lower) if _SENT & scan.vocabulary else ():
        yield from _listed(scan, match.end(), sure=True)
    for match in _BEHALF.finditer(scan.lower) if _FOR_ANOTHER & scan.vocabulary else ():
        start = match.start("x")
        if text[start].isupper():
            found = take_name(scan, start, strong=True)
        else:
            found = lower_name(scan, start, sure=True)
        if found is not None and found >= match.end("x"):
            yield start, match.end("x")


def _last_words(scan: Scan, start: int, end: int) -> Iterator[Span]:
    """The name that ends a run of words: without the day before it."""
    parts = [
        (match.start() + start, match[0]) for match in re.finditer(r"[^\s]+", scan.lower[start:end])
    ]
    while parts and (parts[0][1] in _WHEN or parts[0][1] in NOT_NAMES):
        parts = parts[1:]
    kind = words().kind
    if parts and not all(
        kind(word) & (COMMON | THING) and not kind(word) & GIVEN for _, word in parts
    ):
        yield parts[0][0], end


def _with_initial(scan: Scan, match: re.Match[str]) -> Iterator[Span]:
    """A name in small letters with a single letter in it: "k. adeyemi", "anke k. pfeiffer"."""
    kind = words().kind
    surname = match["s"]
    if not scan.text[match.start("i")].islower():
        return
    bits = kind(surname)
    parts = surname.split("-")
    known = bits & SURNAME or any(kind(part) & SURNAME for part in parts if len(parts) > 1)
    if bits & THING or (bits & COMMON and not known) or surname in NOT_NAMES:
        return
    if (match["i"][0] in "ai" and not known) or match["i"].startswith(("e.g", "i.e")):
        return
    start = match.start("i")
    first = _FIRST_BEFORE.search(scan.before(start, 24))
    if first is not None and kind(first[0]) & GIVEN:
        yield start - len(first[0]) - 1, match.end("s")
    elif (known and not bits & COMMON) or (
        not bits
        and len(surname) > 3
        and scan.before(start, 1) in {" ", "\n", "", "/", "("}
        and not re.search(r"(?:^|\n)[ ]*$", scan.before(start, 12))
    ):
        yield start, match.end("s")
    elif not bits and len(surname) > 3:
        # on a line of its own
        line = next((span for span in lines_of(scan) if span[0] == start), None)
        if line is not None and line[1] <= match.end("s") + 1:
            yield start, match.end("s")


def _in_file_names(scan: Scan) -> Iterator[Span]:
    """Names in the names of files: "IMG_2231_will_fakhoury.jpg"."""
    kind = words().kind
    for match in _FILE.finditer(scan.lower):
        parts = re.split(r"[_\-]", match["x"])
        kinds = [kind(part) for part in parts]
        if (
            kinds[0] & GIVEN
            and not any(bits & THING for bits in kinds)
            and (kinds[1] & SURNAME or not kinds[1])
        ) or (kinds[1] & GIVEN and kinds[0] & SURNAME and not kinds[1] & COMMON):
            yield match.span("x")
    for match in _ONE_FILE.finditer(scan.lower):
        word = match["x"]
        bits = kind(word)
        if bits & (COMMON | THING):
            continue
        if bits & GIVEN or bits & SURNAME:
            yield match.span("x")
            continue
        # artmalhotra, joyday: a first name and a family name without a sign between
        for cut in range(3, len(word) - 2):
            first, last = kind(word[:cut]), kind(word[cut:])
            if first & GIVEN and (last & SURNAME or (not first & COMMON and not last)):
                yield match.span("x")
                break
