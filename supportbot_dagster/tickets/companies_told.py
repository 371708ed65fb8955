"""Companies' names that a turn of phrase announces, whatever the words look like.

What lives here: places that hardly anything but a company follows ("we do the books for X", "on
behalf of X", "the header says X"), what is said of companies ("X has 640 engineers"), and the line
under the name that a message is signed with, also in small letters. What does not: names that their
own form gives away (:mod:`supportbot_dagster.tickets.companies`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from supportbot_dagster.tickets.companies import _JOB_WORDS, _UI_NOUNS, _is_trade
from supportbot_dagster.tickets.known import LEGAL_FORMS
from supportbot_dagster.tickets.persons import (
    CLOSING_CUES,
    NOT_NAMES,
    TITLES,
    Span,
    closing_lines,
    lines_of,
    same_line_closes,
    signature_block,
    take_name,
)
from supportbot_dagster.tickets.rule import Scan, folded_regex
from supportbot_dagster.tickets.words import COMMON, GIVEN, SURNAME, THING, word_set, words

_WORD = re.compile(r"[^\W_](?:[\w&+]|['.\-](?=\w))*")
_GAP = re.compile(r" (?:(?:&|\+) )?(?=\w)|, (?=(?:inc|llc|ltd|gmbh|llp)\b)")
_JOINS = word_set(
    "and of de du des da do dos del della di et und y e i og och van von the for la le"
)
_STOP = word_set(
    "is are was were be been has have had does did do will would can cannot could should must may "
    "might to in on at by with from about because since when while if but or nor so as than then "
    "that this these those which who whom whose where what why how we i you he she it they us me "
    "him them our my your his her its their not no yes please pls thanks thank here there again "
    "still already also only just now today yesterday tomorrow under over until via per into "
    "pays pay uses use wants want needs need gets get got keeps keep says say shows show told "
    "asked ordered bought closed moved joined left took opened called named cannot can't won't "
    "isn't doesn't didn't hasn't haven't instead account accounts workspace invoice order site "
    "customer number attn any some all each every another other first last next"
)
"""What no company's name goes on with."""
_TRADES_TOLD = word_set("security legal care media group asa a.s spa")
"""Trades that are words of every product, too, so that only a place makes a name of them."""
_NO_FIRST = word_set(
    "a an the my our your his her their its this that these those me us him them everyone "
    "everybody "
    "someone somebody anyone nobody whom what which it two three four five several some many all "
    "both one another other others different new old same people myself yourself himself herself "
    "work school home here there support customer customers client clients team users user admin "
    "customs invoices invoice now then yes no ok not being having doing using making sales billing "
    "example default personal business private public free pro basic enterprise years months weeks "
    "days hours nothing anything something everything more less most least each every"
)
_SORT = (
    r"(?:client|customer|supplier|vendor|landlord|parent company|partner|competitor|sister company|"
    r"bank|employer|agency|reseller|subsidiary|school|charity|tenant|insurer|carrier|courier|"
    r"merchant|distributor|wholesaler|contractor|sponsor|investor|franchisee|member|lawyers?|"
    r"solicitors?|accountants?|auditors?|studio|shop|store|company|business|firm|organi[sz]ation|"
    r"practice|clinic|club|entity|brand)"
)
# pattern, words one of which the text holds, and whether ordinary words may be a name here
_PLACES: tuple[tuple[re.Pattern[str], frozenset[str], bool], ...] = tuple(
    (folded_regex(pattern), word_set(cues), sure)
    for pattern, cues, sure in (
        (
            r"\b(?:on behalf of|acting for|representing|counsel for|obo)[ ](?:the )?",
            "behalf acting representing counsel obo",
            True,
        ),
        (
            r"\b(?:beneficiary|payee|account (?:name|holder)|(?:legal|company|trading|business|"
            r"registered|billing|firm|organi[sz]ation) (?:name|entity)|debtor|creditor|entity|"
            r"bill to|ship to|sold to|remitter|employer|firma|empresa|entreprise|azienda|bedrijf|"
            r"razao social|ragione sociale|raison sociale|issued to)"
            r"(?:[ ]?[:=]| is| was| should be| must be| should read)?[ ][\"']?",
            "beneficiary payee account legal company trading business registered billing firm "
            "organisation organization debtor creditor entity bill ship sold remitter employer "
            "firma empresa entreprise azienda bedrijf razao ragione raison issued",
            True,
        ),
        (
            r"\b(?:books|accounts|bookkeeping|accounting|payroll|taxes|it|hr|website|web ?shop|"
            r"marketing|social media|cleaning|hosting|logistics|deliveries|newsletters?|printing|"
            r"consulting|translations?|support) (?:for|of)[ ](?:a client called )?(?:the )?",
            "books accounts bookkeeping accounting payroll taxes it hr website webshop marketing "
            "media cleaning hosting logistics deliveries newsletter newsletters printing "
            "consulting translation translations support",
            False,
        ),
        (
            r"\b(?:header|footer|letterhead|invoices?|quote|quotation|receipt|contract|statement|"
            r"label|pdf|heading|document|credit note|certificate|agreement|portal|packing slip|"
            r"order form)[^.!?\n]{0,24}?[ ](?:still |now |must |should |also |only |wrongly "
            r")?(?:says?|reads?|shows?|names?|"
            r"prints?|is for|is addressed to|is made out to|was made out to|made out to|goes to|go "
            r"to|is in the name of|mentions?|states?|lists?)[ ](?:us as |us twice: |us under |the "
            r"name )?[\"']?",
            "header footer letterhead invoice invoices quote quotation receipt contract statement "
            "label pdf heading document note certificate agreement portal slip form",
            True,
        ),
        (
            r"\b(?:lists? us (?:twice )?(?:as|under)?:?|listed (?:us )?(?:twice )?as|we(?:'re| "
            r"are) listed as|"
            r"registered as|renamed (?:to|as)|rebranded (?:to|as)|is (?:now |still )?called|known "
            r"as|"
            r"trading as|formerly|previously|f/k/a|n[eé]e|now part of|part of|owned by|acquired by|"
            r"bought by|taken over by|merged with|merger with|merging with|spun off from)[ "
            r"](?:the )?[\"']?",
            "lists list listed registered renamed rebranded called known trading formerly "
            "previously part owned acquired bought taken merged merger merging spun",
            False,
        ),
        (
            r"\b(?:i|we) (?:was|were|used to be|am|have been|had been)[ ](?:previously |formerly |"
            r"now |before )?"
            r"(?:with|wiht|at|employed (?:by|at)|working (?:for|at))[ ](?:the )?",
            "was were used am been",
            False,
        ),
        (
            r"\b(?:i|we|he|she|who|they) (?:work|works|worked|consult|consults|freelance|"
            r"volunteer|volunteers|"
            r"teach|teaches|moved|went|came|switched jobs|started|interned)[ ](?:over )?(?:for|at|"
            r"from|to|with)[ ](?:the )?",
            "work works worked consult consults freelance volunteer volunteers teach teaches "
            "moved went came switched "
            "started interned",
            False,
        ),
        (
            r"\b(?:our|my|their|a|the|one|another)[ ](?:[a-z]{3,10}[ ])?"
            + _SORT
            + r",?[ ](?:is |was |called |named |\()?(?:the )?[\"']?",
            "our my their a the one another",
            False,
        ),
        (
            r"\b(?:half|all|most|some|part|the whole|everybody|everyone|one third|none) (?:of|"
            r"at)[ ]",
            "half all most some part whole everybody everyone none third",
            False,
        ),
        (
            r"\b(?:lead|engineer|manager|supervisor|director|owner|admin|administrator|developer|"
            r"designer|accountant|bookkeeper|teacher|nurse|founder|head of [a-z]{2,12}|officer|"
            r"coordinator|assistant|consultant|analyst|volunteer|treasurer|secretary|cto|ceo|cfo|"
            r"coo|technician|clerk|buyer|planner|chef|sysadmin|controller|receptionist|intern|"
            r"partner|librarian|registrar|principal|caretaker) (?:at|of|for|with)[ ](?:the )?",
            "at of for with",
            False,
        ),
        (
            r"\bwe(?:'re| are)[ ](?:called |not |now |actually |really )?",
            "we",
            False,
        ),
        (
            r"(?:^|[\n ,;])org(?:anisation|anization)?[ :;]{1,2}",
            "org organisation organization",
            False,
        ),
    )
)
_LEAD = (
    r"(?:^|[\n.!?;:,(\"] ?|\b(?:and|but|that|because|since|why|is|does|can|could|should|contains|"
    r"data of|for|to|of) )"
)
_NAME = r"(?P<x>[^\W_][\w'\-.]*(?: (?:& |and |of )?[^\W_][\w'\-.]*){1,5}?|[^\W\d_]{4,24})"
_SAID = re.compile(
    _LEAD + _NAME + r"(?:,? (?:which|wich|who) (?:is|are) (?:a|an|our|one of our|your)[ ](?:[a-z]+ "
    r")?(?:customers?|clients?|competitors?|suppliers?|vendors?|tenants?)\b"
    r"|,? attn\b|,? c/o\b"
    r"| (?:has|have) (?:\d[\d.,]*|over \d+|about \d+|more than \d+|two|three|four|five|six|ten|"
    r"twelve|twenty|fifty|hundreds of) (?:employees|engineers|staff|people|users|seats|members|"
    r"branches|"
    r"offices|shops|stores|locations|drivers|teachers|nurses|students|licen[cs]es|agents|workers)\b"
    r"| (?:has|have) been (?:a|your|one of your|with you|customers?|clients?)\b"
    r"|(?:'s|s') (?:security|it|legal|finance|procurement|hr|accounts|billing|purchasing|dev|"
    r"marketing|compliance|audit|infosec|ops|payroll) (?:team|department|people|dept|office|"
    r"folks)\b"
    r"|(?:'s|s') (?:workspace|tenant|subscription|licen[cs]e|instance|invoice|contract|account|"
    r"books|ledger|shop|"
    r"office|warehouse|website|domain|network|production)\b"
    r"| (?:is|are) (?:switching|leaving|moving|migrating|cancelling|our (?:client|customer|"
    r"supplier|"
    r"parent|landlord|employer|biggest))\b"
    r"| pays\b| uses it\b| (?:is|are|was) (?:a|an|our|your) (?:customer|client|supplier|vendor|"
    r"charity|"
    r"non-?profit|subsidiary|partner|competitor|reseller)\b)"
)
_SAID_CUES = word_set(
    "customer customers client clients competitor competitors supplier suppliers vendor vendors "
    "tenant tenants attn employees engineers staff people users seats members branches offices "
    "shops stores locations drivers teachers nurses students licences licenses agents workers been "
    "security it legal finance procurement hr accounts billing purchasing dev marketing compliance "
    "audit infosec ops payroll workspace subscription licence license instance invoice contract "
    "account books ledger shop office warehouse website domain network production switching "
    "leaving moving migrating cancelling parent landlord employer biggest pays uses charity "
    "nonprofit non-profit subsidiary partner reseller"
)
_OF = re.compile(
    r"(?:^|[\n.!?,] ?)(?:[A-Z\u00c0-\u00de]\. ?)?[A-Z\u00c0-\u00de][\w'\-]+(?: "
    r"[A-Z\u00c0-\u00de]\.?)?(?: [A-Z\u00c0-\u00de][\w'\-]+){1,2},? (?:of|from|at|with|for) "
    r"(?:the )?"
)
_TITLE_SPLIT = re.compile(r", | - | \| | at | @ | / | of ")


def _read(scan: Scan, start: int) -> list[tuple[str, str, int]]:
    """The words that may make up a name: as written, folded, and where each ends."""
    found: list[tuple[str, str, int]] = []
    position = start
    text = scan.text
    while len(found) < 7:
        match = _WORD.match(text, position)
        if match is None:
            break
        word, end = match[0], match.end()
        low = scan.lower[position:end]
        if word.endswith("'s"):
            found.append((word[:-2], low[:-2], end - 2))
            break
        if low in _STOP or "_" in word or "@" in text[end : end + 1]:
            break
        if low == "and" and found and not text[end + 1 : end + 2].isupper():
            # "sahel trust and the others"
            follow = _WORD.match(text, end + 1)
            if follow is None or not _is_trade(scan.lower[end + 1 : follow.end()]):
                break
        found.append((word, low, end))
        gap = _GAP.match(text, end)
        if gap is None:
            break
        position = gap.end()
    while found and found[-1][1] in _JOINS:
        found.pop()
    return found


def take_phrase(scan: Scan, start: int, *, sure: bool) -> int | None:
    """The end of the company's name that begins at ``start``, or None.

    Args:
        sure: nothing but a name stands here, so that two ordinary words in capitals count.
    """
    found = _read(scan, start)
    if not found or found[0][1] in _NO_FIRST or found[0][1] in NOT_NAMES | TITLES | _STOP:
        return None
    kind = words().kind
    if any(low in scan.vendor.words for _, low, _ in found[:2]):
        return None
    trade = max(
        (
            number
            for number, (_, low, _) in enumerate(found)
            if number
            and (_is_trade(low) or low in _TRADES_TOLD or low.replace(".", "") in LEGAL_FORMS)
        ),
        default=0,
    )
    kinds = [kind(low) for _, low, _ in found]
    capital = found[0][0][0].isupper() or found[0][0][0].isdigit()
    if capital:
        last = 0
        for number, (word, low, _) in enumerate(found):
            if word[0].isupper() or word[0].isdigit():
                last = number
            elif low not in _JOINS:
                break
        known = any(
            (not bits and word.isalpha() and len(word) > 2)
            or (bits & (SURNAME | GIVEN) and not bits & (COMMON | THING))
            for (word, _, _), bits in zip(found[: last + 1], kinds, strict=False)
        )
        first = kinds[0]
        if last == 0:
            # one word, in no list: "Lumenpeak has 640 engineers"
            odd = not kinds[0] and len(found[0][0]) > 4 and found[0][0][1:].islower()
            return found[0][2] if odd and sure else None
        if first & THING and last == 1 and kinds[1] & (COMMON | THING) and not trade:
            return None
        person = last <= 2 and first & GIVEN and not first & COMMON and not trade and last >= 1
        if person:
            return None
        if not known and (found[last][1] in _UI_NOUNS or found[0][1] in _UI_NOUNS):
            return None
        if not (trade or known) and any(
            word.isdigit() or bits & THING for (word, _, _), bits in zip(found, kinds, strict=True)
        ):
            return None
        if trade or known or sure:
            # "Contact Billing": words of a screen have no trade and are all vocabulary
            return found[max(last, trade)][2] if trade > last else found[last][2]
        return None
    if len(found) < 2 or any(
        low in _JOB_WORDS and low not in {"care", "design", "legal"} for _, low, _ in found[:1]
    ):
        return None
    if trade:
        head = kinds[:trade]
        real = [bits for bits, (_, low, _) in zip(head, found, strict=False) if low not in _JOINS]
        if not real:
            return None
        odd = any(not bits or (bits & (SURNAME | GIVEN) and not bits & COMMON) for bits in real)
        if odd or (sure and not any(bits & THING for bits in real)):
            return found[trade][2]
        return None
    return None


_EDGE = re.compile(
    r"[ ]*(?:[.,;:!?)\"'\n(]|$| - | (?:is|has|here|and|on|in|since|for|we|account|attn|cannot)\b)"
)


def companies_told(scan: Scan) -> Iterator[Span]:
    """Positions of companies that the words around them give away."""
    vocabulary, lower = scan.vocabulary, scan.lower
    for pattern, cues, sure in _PLACES:
        if scan.prefilter and cues.isdisjoint(vocabulary):
            continue
        for match in pattern.finditer(lower):
            end = take_phrase(scan, match.end(), sure=sure)
            if end is not None and _EDGE.match(lower, end) is not None:
                yield match.end(), end
    if not _SAID_CUES.isdisjoint(vocabulary):
        for match in _SAID.finditer(lower):
            start, stop = match.span("x")
            many = scan.lower.count(" ", start, stop) > 1
            end = take_phrase(scan, start, sure=many or scan.text[start].isupper())
            if end is not None and end >= stop:
                yield start, end
    for match in _OF.finditer(scan.text):
        end = take_phrase(scan, match.end(), sure=False)
        if end is not None and _EDGE.match(lower, end) is not None:
            yield match.end(), end
    yield from _under_names(scan)


def _under_names(scan: Scan) -> Iterator[Span]:
    """The lines under the name that a message is signed with."""
    lines = lines_of(scan)
    below: list[tuple[int, int]] = []
    block = signature_block(scan)
    if block:
        below += [span for span in block[1] if scan.text[span[0] - 1 : span[0]] in {"\n", ""}]
    if not scan.prefilter or not CLOSING_CUES.isdisjoint(scan.vocabulary):
        closings = closing_lines(scan)
        same_lines = same_line_closes(scan)
        for index, (start, end) in enumerate(lines[:-1]):
            if index in closings and index + 2 < len(lines):
                if take_name(scan, lines[index + 1][0], lower="any", strong=True) is not None:
                    below += lines[index + 2 : index + 5]
            elif any(start <= place <= end for place in same_lines):
                below += lines[index + 1 : index + 4]
    for start, end in dict.fromkeys(below):
        if end - start > 70:
            continue
        position = start
        for part in [*_TITLE_SPLIT.finditer(scan.lower, start, end), None]:
            stop = part.start() if part else end
            if _is_signed_for(scan, position, stop):
                yield position, stop
            position = part.end() if part else end


def _is_signed_for(scan: Scan, start: int, end: int) -> bool:
    """Whether a part of a signature is a company: no title, no number, no sentence."""
    text = scan.lower[start:end]
    parts = re.findall(r"[^\W_][\w'\-]*", text)
    if not 2 <= len(parts) <= 6 or re.search(r"\d{3}[ .\-]?\d|[@:?!]|\.\s|://|www\.", text):
        return False
    if any(part in _STOP or part in NOT_NAMES for part in parts):
        return False
    kind = words().kind
    kinds = [kind(part) for part in parts]
    trade = _is_trade(parts[-1]) or parts[-1] in LEGAL_FORMS
    proper = any(
        not bits or (bits & (SURNAME | GIVEN) and not bits & (COMMON | THING)) for bits in kinds
    )
    if all(part in _JOB_WORDS or part in {"of", "and", "&"} for part in parts):
        return False
    jobs = sum(part in _JOB_WORDS for part in parts)
    if trade and (proper or jobs <= 1) and parts[0] not in _JOB_WORDS:
        return True
    first = kinds[0]
    if len(parts) == 2 and first & GIVEN and not trade:
        return False
    return proper and not jobs and scan.text[start].isupper()
