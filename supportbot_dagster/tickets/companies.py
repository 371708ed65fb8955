"""Companies' names that context gives away.

What lives here: legal forms, trades ("Robichaud Logistics"), introductions ("Dana from X"),
signatures, mail hosts. What does not: companies known beforehand
(:mod:`supportbot_dagster.tickets.known`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from supportbot_dagster.tickets.known import GENERIC_WORDS, LEGAL_FORMS, PUBLIC_MAIL_HOSTS
from supportbot_dagster.tickets.persons import (
    CLOSING_CUES,
    GENITIVE_THINGS,
    NOT_NAMES,
    TITLES,
    Span,
    closing_lines,
    lines_of,
    looks_like_name,
    reader_of,
    same_line_closes,
    signature_block,
    take_name,
)
from supportbot_dagster.tickets.rule import Scan, Token, folded_regex, regex
from supportbot_dagster.tickets.words import COMMON, GIVEN, SURNAME, THING, word_set, words

_JOB_WORDS = word_set(
    "head director manager engineer developer lead officer ceo cto cfo coo founder co-founder ops "
    "operations product marketing sales support designer design analyst consultant assistant "
    "coordinator senior junior vp vice president chief of technology software it admin "
    "administrator owner hr people team engineering customer success account executive specialist "
    "project program programme and the for devops qa tester architect data scientist intern "
    "principal staff partner managing general office finance accounting research communications "
    "content strategy brand growth community platform infrastructure security mobile web frontend "
    "backend full stack sr jr she he they her him them tel phone mobile travel payments "
    "investigations desk support department dept section unit division tier line counsel legal tax "
    "payroll logistics helpdesk service services care warehouse shift teacher nurse doctor owner "
    "treasurer chairman trustee audit internal gerant inhaber geschaftsfuhrer geschaftsfuhrerin "
    "direktor chef responsable gerente"
)

_TRADES = word_set(
    "chapel church parish council society union cooperative charity choir band co-op coop "
    "accountants accountancy actuaries advisers advisors advisory aerospace agency agrotech "
    "academy analytics apparel appliances architects architecture associates associati atelier "
    "attorneys auto automation automotive aviation bakehouse bakery bakers bank barbers beauty "
    "beverages bikes biotech books bookshop boutique brands brewery brewing bricks builders "
    "building cafe capital care carpentry carpets catering ceramics chambers charity chemicals "
    "chocolates church cinemas cleaners cleaning clinic clinics clothing club coffee collective "
    "college commerce components construction constructions consultancy consultants consulting "
    "contractors cosmetics couriers crafts creamery creative crew cruises cycles dairy daycare "
    "decor dental dentistry design designs digital distillery distribution dynamics earthworks "
    "education electrical electricals electronics energy engineering engineers enterprise "
    "enterprises estates events exports express fabrics farm farms fashion festival films finance "
    "financial fisheries fishing fitness flooring florist florists flowers foods footwear "
    "forwarding foundation foundry freight fruits fundraising furnishings furniture gallery games "
    "gardens gin glass goods grill group gym haulage health healthcare hire holdings homes "
    "homeware hospital hospitality hotel hotels housing importers imports industries infotech "
    "insurance interiors investments ironworks jewellers jewellery jewelry joinery joiners kids "
    "kitchens knitwear labs laboratories landscaping landscapes laundry law leather leisure "
    "lettings library lighting linen logistics lumber machinery manufacturing marine maritime "
    "market marketing markets materials media medical metals microbrewery mills mining mobility "
    "mortgages motors museum music namkeen nursery optical opticians orchards organics outdoors "
    "outfitters packaging paints partners partnership pharma pharmaceuticals pharmacy photography "
    "pictures pizza pizzeria plants plastics plumbing poissonnerie press primary printers printing "
    "productions properties property publishers publishing realty records recruitment recycling "
    "removals renovations rentals repairs resorts restaurant retail robotics roasters roofing "
    "salon school seafood seeds services shipping shoes shop signs software solar solicitors "
    "solutions spa spices sports stables stationers stationery steel storage store stores studio "
    "studios supplies supply surf surgery surveyors sweets systems tailors tattoo taxis tea "
    "technik technologies technology tech telecom textiles theatre timber tools tourism tours toys "
    "trading training transport travel travels trust tutoring tuition tyres university upholstery "
    "utilities ventures veterinary vets vineyard vineyards vinyl wares wealth wellness wines "
    "winery woodwork woodworks works workshop workshops yachts yoga tekstil vakfi restaurante "
    "hosteria osteria taverna papeterie boulangerie brasserie garage immobilier traiteur librairie "
    "talleres panaderia ferreteria clinica colegio escuela grupo padaria mercearia clinica "
    "ristorante trattoria panificio bottega officina oficina backerei metzgerei kanzlei praxis "
    "werkstatt tischlerei schreinerei gasthof weingut verlag kaltetechnik elektro handel bau "
    "gruppe serres maison domaine chateau casa hacienda bakkerij slagerij bouw advocaten zaden "
    "foods airfreight steelworks ironmongers utility district municipality hosting letting "
    "precision "
    "hospice homecare childcare cargo catering cheese cider chemist coaching cuisine deli diner "
    "diving "
    "dojo drinks driving eyewear fabrication fencing framing funerals gardening gifts guesthouse "
    "hairdressing hostel inn kennels landscape lodge massage milling minerals mutual nurseries "
    "optics "
    "osteopathy pets physio physiotherapy plastering pottery pub quarry ranch refrigeration rugs "
    "saddlery salvage sanctuary sawmill scaffolding skincare spirits stoneworks tannery taxi tiles "
    "towing vet waste watches weavers weddings wholesale zoo research house hosting brokers lines "
    "airlines airways shipyard drydock polytechnic institute institut gymnasium kindergarten "
    "federation "
    "sons brothers bros daughters abogados arquitectos consultores servicios construcciones "
    "transportes "
    "viajes avocats notaires conseil conseils etudes transports immobiliare costruzioni servizi "
    "trasporti viaggi gruppo comercio construtora advogados engenharia editora livraria "
    "transportadora "
    "spedition steuerberatung rechtsanwalte architekten versicherung stiftung verein verlage "
    "apotheke "
    "stadtwerke makelaardij makelaars stichting vervoer installaties holding kancelaria pracownia "
    "hurtownia sklep biuro insaat lojistik turizm gida ticaret sanayi muhendislik"
)
"""What companies are called after; the last (or, in Romance languages, the first) of two words."""
_LEGAL = (
    r"(?:Inc|LLC|Ltd|GmbH|AG|SAS|SARL|BV|B\.V|NV|N\.V|Pty(?: Ltd)?|Pte(?: Ltd)?|PLC|plc|Corp|"
    r"Corporation|Limited|Oy|Oyj|AB|ApS|A/S|KK|K\.K|Srl|S\.r\.l|SpA|S\.p\.A|S\.A|S\.L|S\.L\.U|SL|"
    r"SA|"
    r"Lda|LLP|Kft|Zrt|sp\. z o\.o|s\.r\.o|d\.o\.o|(?:\(?(?:Pvt|Pty)\.?\)? )?Ltd|KG|OHG|UG|e\.V|eG|"
    r"Sdn Bhd|Bhd|Co-op|Co|Ltda|EIRL|OOD|EOOD|SE|\u015eti|A\.\u015e|AS|Tic\. A\.\u015e|Sp\. k|PBC|"
    r"Inc)"
)
_CAP = r"(?:[A-Z0-9\u00c0-\u00de\u0130\u0150-\u017d][\w'&+.\-]{0,40})"
_WITH_SUFFIX = re.compile(
    r"(?<![\w>])(?P<x>"
    + _CAP
    + r"(?:[ ](?:&[ ]|and[ ]|of[ ]|de[ ]|ve[ ]|y[ ]|et[ ]|und[ ]|i[ ]|e[ ])?"
    + _CAP
    + r"){0,5},?[ ]"
    + _LEGAL
    + r"(?![\w])\.?(?:[ ]\(haftungsbeschr\u00e4nkt\))?)"
)
_LEGAL_CUES = word_set(
    "Inc LLC Ltd GmbH AG SAS SARL BV B NV N Pty Pte PLC plc Corp Corporation Limited Oy Oyj AB ApS "
    "A KK K Srl S SpA SL SA Lda LLP Kft Zrt sp s d Pvt Co-op KG OHG UG e eG Sdn Bhd Co Ltda EIRL "
    "OOD EOOD SE AS Tic Sp PBC \u015eti"
)
"""The first words of the legal forms, as written."""


def _may_hold_legal_form(scan: Scan) -> bool:
    """Whether a legal form's first word stands anywhere but at the beginning."""
    return any(token.text in _LEGAL_CUES for token in scan.tokens if token.gap[-1:] in {" ", "("})


_NOUN = (
    r"(?:company|firm|start-?up|agency|employer|organi[sz]ation|business|studio|school|university|"
    r"clinic|practice|charity|client|customer|parent company|legal entity|shop|store|salon|club|"
    r"restaurant|cafe|bakery|gallery|gym|hotel|farm|vendor|supplier|merchant|reseller|landlord|"
    r"tenant|agent|broker|distributor|wholesaler|association|society|church|nursery|daycare|"
    r"academy|department|entity|foundation|ngo|shopfront|label|brand|warehouse|seller|payee|"
    r"beneficiary|debtor|creditor|contractor|subcontractor|partner|deal|lead|account|bank|insurer|"
    r"carrier|courier|union|cooperative|choir|band|council|hospital|surgery|law firm)"
)
_NOUNS = word_set(
    "company firm startup start-up agency employer organisation organization business studio "
    "school university clinic practice charity client customer entity shop store salon club "
    "restaurant cafe bakery gallery gym hotel farm vendor supplier merchant reseller landlord "
    "tenant agent broker distributor wholesaler association society church nursery daycare academy "
    "department foundation ngo shopfront label brand warehouse seller payee beneficiary debtor "
    "creditor contractor subcontractor partner deal lead account start bank insurer carrier "
    "courier union cooperative choir band council hospital surgery law"
)
_Place = tuple[re.Pattern[str], bool, frozenset[str], frozenset[str], bool | None]


def _place(pattern: str, cues: str, lasts: str, lower: bool | None) -> _Place:
    folded = "A-Z" not in pattern
    compiled = folded_regex(pattern) if folded else regex(pattern)
    return compiled, folded, word_set(cues), word_set(lasts), lower


_COMPANY_PLACES: tuple[_Place, ...] = tuple(
    _place(pattern, cues, lasts, lower)
    for pattern, cues, lasts, lower in (
        (
            r"\b(?:this is|i'?m|i am|my name is|my name'?s|it'?s|here is|here's|here)\b"
            r"[^.\n!?>]{1,40}?,? (?:from|at|with|of|working (?:at|for)) (?:the )?(?:hr of )?",
            "this i im it its name here",
            "from at with of for the",
            True,
        ),
        (
            r"(?:^|[\n.!?,] {0,2})[^\W\d_]+(?: [^\W\d_]+)? (?:here|speaking),? (?:from|at|with) "
            r"(?:the )?",
            "here speaking",
            "from at with the",
            True,
        ),
        (
            r"(?-i:[A-Z\u00c0-\u00de][a-z\u00df-\u00ff]+) (?:from|at) (?=[A-Z])",
            "from at",
            "from at",
            False,
        ),
        (
            r"(?:^|\s)[-~/]{1,2} ?[^\W\d_]+(?: [^\W\d_]+){0,2},? (?:from|at) ",
            "from at",
            "from at",
            True,
        ),
        (
            r"\b(?:started|start|joined|joining|employed|hired) (?:at|by|with) ",
            "started start joined joining employed hired",
            "at by with",
            False,
        ),
        (
            r"\b(?:took over|acquired by|bought by|taken over by|joined|merged with|owned by|"
            r"subsidiary of|formerly|previously) (?:the )?[\"']?",
            "took acquired bought taken joined merged owned subsidiary formerly previously",
            "over by joined with of formerly previously the",
            False,
        ),
        (
            r"\b(?:trading as|trades? as|traded as|t/a|dba|d/b/a|rebranded (?:as|to)) (?:the "
            r")?[\"']?",
            "trading trade trades traded t dba d rebranded",
            "as a dba to the",
            None,
        ),
        (
            r"\b(?:i|we|who|he|she|they) (?:work|works|worked|working|consult|own|owns|run|runs|"
            r"manage|founded|started) (?:at |for |with )?(?:the )?(?=[\"']?(?-i:[A-Z]))",
            "work works worked working consult own owns run runs manage founded started",
            "",
            True,
        ),
        (
            r"\b(?:on behalf of|counsel for|acting for|solicitors? (?:for|at)|treasurer (?:of|at)|"
            r"manager (?:of|at)|owner (?:of|at)|director (?:of|at)|chair(?:man|person)? of|"
            r"admin(?:istrator)? (?:of|at)|partner at|head of it at|deal (?:of|with)|deals? for|"
            r"(?:hr|it|finance|payroll|accounts) (?:of|at|for)) (?:the )?",
            "behalf counsel acting solicitor solicitors treasurer manager owner director chair "
            "chairman chairperson admin administrator partner head deal deals hr it finance "
            "payroll "
            "accounts",
            "of for at with the",
            True,
        ),
        (
            r"\b(?:our|my|the|their|his|her|a|old|new|former|this|for|of|as) (?:old |new |former |"
            r"previous |small |family |main |other )?"
            + _NOUN
            + r"(?: name)?(?:,| is called| is named| is| was called| called| named| name is| name:|"
            r":|"
            r" -| \(|[ ]?=){0,2} [\"'(]?",
            " ".join(sorted(_NOUNS)),
            " ".join(sorted(_NOUNS)) + " entity called named is name",
            None,
        ),
        (
            r"(?:^|[\n.,;>*\u2022-] ?)(?:the )?"
            + _NOUN
            + r"(?: ?name)?[ ]?(?::|=| is| called)? (?=[A-Z\"'])",
            " ".join(sorted(_NOUNS)),
            " ".join(sorted(_NOUNS)) + " entity name is called",
            None,
        ),
        (
            r"\b(?:company|organi[sz]ation|business|firm|employer|legal|billing|org) ?(?:name|"
            r"entity)?[ ]?: ",
            "company organisation organization business firm employer legal billing org",
            "company organisation organization business firm employer legal billing org name "
            "entity",
            False,
        ),
        (
            r"\b(?:company|organi[sz]ation|business|legal|billing|workspace|team|club) name (?:is|"
            r"from|"
            r"to|should be|reads|says|was|on the invoice is) (?:\"|')?",
            "name",
            "is from to be reads says was",
            False,
        ),
        (
            r"\b(?:all of us|we|us|people|folks|team|everyone|everybody|colleagues|someone|work|"
            r"here|over|engineers?|developers?|admin|office|contractors?|consultant|employees?|"
            r"manager|lead|head of \w+|director) (?:here )?at (?:the )?",
            "at",
            "at the",
            False,
        ),
        (
            r"\b(?:invoice|bill|billed|made out|contract|registered|addressed|payroll|quote|credit "
            r"note|account|paid|owed|sold|belongs|salary|wages) (?:to|for|with|under|by) (?:the )?"
            r"[\"']?",
            "to for with under by",
            "to for with under by the",
            False,
        ),
        (
            r"\bwe(?:'re| are) (?:called |at |from |now )?(?!on\b|in\b)[\"']?",
            "we",
            "we're are called at from now",
            None,
        ),
        (
            r"\b(?:renamed|rebranded|rebranding|merged|acquired|bought|changed(?: our name)?)(?: "
            r"the company| ourselves)? (?:from|to|as|by|with|into) (?=[A-Z])",
            "renamed rebranded rebranding merged acquired bought changed",
            "from to as by with into",
            False,
        ),
        (r"\bfrom (?=[^\W\d_]+(?: [^\W\d_]+)?,? (?:again|here)\b)", "from", "from", True),
        (
            r"\b(?:wrong|right|correct|old|new|should (?:be|read)|reads?|instead of|called)[ ]?:? "
            r"[\"']",
            "wrong right correct old new read reads instead called be",
            "wrong right correct old new be read reads of called",
            False,
        ),
        (
            r"\b(?:in|under|to) the name (?:of )?(?:the )?[\"']?",
            "name",
            "name of the",
            False,
        ),
        (
            r"\b(?:our|my) (?:[a-z\-]+ ){1,3}\((?:the )?(?=(?-i:[A-Z])[\w'&.\-]*[ ](?-i:[A-Z]|&))",
            "our my",
            "",
            None,
        ),
        (
            r"\b(?:boss|manager|colleague|friend|job|jobs|wife|husband|partner|works?|worked|"
            r"working|"
            r"employed|intern|internship|teaches|teacher|nurse|students?|patients?|shift|office) "
            r"at (?:the )?",
            "at",
            "at the",
            None,
        ),
        (
            r"\bthe (?:[a-z\-]+ ){1,3}\((?:the )?(?=(?-i:[A-Z])[^\W\d_]+[ ](?-i:[A-Z])[^\W\d_]+)",
            "the",
            "",
            False,
        ),
        (
            r"\b(?:here|admin|team|office) \((?:the )?(?=(?-i:[A-Z])[^\W\d_]+[ "
            r"](?-i:[A-Z])[^\W\d_]+)",
            "here admin team office",
            "",
            False,
        ),
        (
            r"\b(?:our|my) [a-z\-]{4,20} (?=(?-i:[A-Z])[^\W\d_]+ & (?-i:[A-Z]))",
            "our my",
            "",
            False,
        ),
        (
            r"\b(?:place|outfit|shop|firm|company|someone|business|store) called [\"']?",
            "called",
            "called",
            False,
        ),
    )
)
_THE_X_TEAM = re.compile(
    r"\b(?:[Tt]he|[Oo]ur|[Yy]our|[Aa]n?) (?:(?P<x>[A-Z][a-z]+(?: [A-Z][a-z]+)?) (?:team|office|"
    r"account|workspace)|(?P<y>[a-z][\w\-]{3,30}) workspace)\b"
)
_SIGNATURE_SPLIT = re.compile(r"[|,\u2022\u00b7@]| - | at | / | from ")
_MAIL_HOST = re.compile(r"(?<![\w.])@(?P<x>(?:[\w\-]{1,63}\.){1,4}[^\W\d_]{2,24})(?![\w/])")
_COMPANY_WORD = re.compile(r"[\w\u00c0-\u024f](?:[\w&+]|['.\-](?=\w))*")
_COMPANY_GAP = re.compile(r" (?:& )?(?=\w)")
_LOWER_WORD = re.compile(r"[^\W\d_](?:[^\W_]|[\-](?=\w)){2,30}")
_COMPANY_END = re.compile(r"[\"']?(?:[,.!?;)\n]|$| (?:now|in|from|and|here)\b)")
_LAST_FRAGMENT = re.compile(
    r"[a-z0-9][.!?)]{1,3}\s{1,3}(?P<x>(?:The )?[A-Z\u00c0-\u00de](?:[^\W\d_]|['\-])+(?: (?:& |and |"
    r"of |de )?[A-Z\u00c0-\u00de](?:[^\W\d_]|['\-])+){1,4})[. ]{0,2}\Z"
)
"""A message that ends with a few words in capitals and nothing else: who writes."""
_SELF = re.compile(r"i(?:'(?:m|d|ll|ve))?")
_NUMBERED = re.compile(r"\d{3}[.\- ]?\d")
_NUMBER_NEXT = re.compile(r"[.:]{0,2} ?[A-Z]{0,3}\d{3}")
_LOWER_INTRODUCTION = re.compile(
    r"\b(?:this is|i'?m|i am|(?:my )?name is|name's|it'?s)[ ](?P<n>[^\W\d_]+)(?:[ ][^\W\d_]+)?,?"
    r"(?:[ ]here)?[ ](?:from|at|with)[ ](?:the[ ])?"
    r"(?P<x>[^\W\d_][\w'\-]*(?:[ ](?:&[ ])?[^\W\d_][\w'\-]*){1,3})(?=[.,!?;:)\n]|[ ]*\Z|[ ](?:here|"
    r"again)\b)"
)
"""Where nobody uses capitals: "this is paula from zenith nails"."""
_NO_PART = word_set(
    "a an the my your our his her their its this that these those me you us them it i we he she "
    "they work home next down up out over somewhere here there another yesterday today tomorrow "
    "time start first second last previous other same support one two is was are be to of in on "
    "for by not but or no customer problem issue help downstairs upstairs across above below "
    "accounts school"
)
_JOINS = frozenset(
    {"and", "of", "de", "et", "und", "du", "da", "des", "y", "ve", "e", "for", "the"}
)
_UI_BEFORE = re.compile(
    r"(?:>|->|\u2192|/|click|tab|menu|section|button|under|page|field|settings)[ ]?[\"']?$"
)


def _is_trade(word: str) -> bool:
    """Whether companies are called after a word, in the singular or the plural."""
    return (
        word in _TRADES
        or word.removesuffix("s") in _TRADES
        or (word.endswith("ies") and word[:-3] + "y" in _TRADES)
        or word + "s" in _TRADES
    )


def _take_company(scan: Scan, start: int, *, lower: bool | None) -> int | None:
    kind = words().kind
    own = scan.vendor.words
    tokens: list[tuple[str, int]] = []
    position = start
    joined = False
    while len(tokens) < 6:
        match = _COMPANY_WORD.match(scan.text, position)
        if match is None:
            break
        word = match[0]
        joins = (
            bool(tokens)
            and word.lower() in _JOINS
            and (
                (
                    scan.text[match.end() + 1 : match.end() + 2].isupper()
                    and scan.text[match.end() + 2 : match.end() + 3] != " "
                )
                or scan.text[match.end() + 1 : match.end() + 5] == "the "
            )
        )
        if not (
            word[0].isupper()
            or (word[0].isdigit() and len(word) > 1 and word[-1].isalpha())
            or joins
        ):
            break
        if (
            len(tokens) >= 2
            and word.isupper()
            and tokens[-1][0] not in _JOINS
            and kind(word.lower()) & COMMON
        ):
            break  # a shouted sentence goes on
        tokens.append(
            (
                scan.lower[match.start() : match.end()].removesuffix("'s"),
                match.end()
                - 2
                * (word.endswith("'s") and scan.text[match.end() + 1 : match.end() + 2].islower()),
            )
        )
        gap = _COMPANY_GAP.match(scan.text, match.end())
        if gap is None:
            break
        joined = joined or gap[0] == " & "
        position = gap.end()
    while tokens and (tokens[-1][0] in _JOINS or _SELF.fullmatch(tokens[-1][0])):
        tokens.pop()
    if not tokens:
        match = _LOWER_WORD.match(scan.lower, start)
        if lower and match and not kind(match[0]) & (COMMON | THING | GIVEN):
            parts = match[0].split("-")
            unknown = not all(kind(part) & COMMON for part in parts)
            if match[0] not in own and match[0] not in NOT_NAMES and unknown:
                return match.end()
        return None
    first = tokens[0][0]
    if first in TITLES:
        return None
    if (
        kind(first) & THING and not kind(first) & (GIVEN | SURNAME) and len(tokens) == 1
    ) or first in own:
        return None
    if scan.text[tokens[-1][1] :].lstrip(" ").startswith(">"):
        return None
    if len(tokens) == 1 or all(token in _JOB_WORDS for token, _ in tokens):
        word = tokens[0][0]
        if kind(word) & (COMMON | GIVEN | THING) or word in NOT_NAMES or len(word) < 3:
            return None
        if "+" in word or (len(word) <= 3 and scan.text[start : start + len(word)].isupper()):
            return None  # a shortcut, a team key, a job's initials
    ordinary = all(kind(token) & (COMMON | THING) or token in _JOINS for token, _ in tokens)
    trade = _is_trade(tokens[-1][0]) or tokens[-1][0] in LEGAL_FORMS
    if (
        len(tokens) == 2
        and not joined
        and kind(first) & (GIVEN | COMMON | THING) == GIVEN
        and (not trade or kind(tokens[-1][0]) & SURNAME)
    ):
        return None  # "our partner Svea Rehn"
    if lower is None and len(tokens) >= 2 and _COMPANY_END.match(scan.text, tokens[-1][1]):
        trade = True
    if not lower and ordinary and not joined and not trade:
        return None
    if ordinary and first in NOT_NAMES | {"settings", "preferences", "team"}:
        return None
    if ordinary and not lower and _UI_BEFORE.search(scan.before(start, 12)):
        return None
    return tokens[-1][1]


def _named_after_trade(scan: Scan) -> Iterator[Span]:
    """Runs of capitals such as "Robichaud Logistics", "Moore & Pike Lettings", "Locks of Leith"."""
    tokens = scan.tokens
    size = len(tokens)
    index = 0
    while index < size:
        token = tokens[index]
        if not token.cap or token.code or len(token.text) < 2:
            index += 1
            continue
        at = index + 1
        joined = False
        while at < size and at - index < 7:
            gap, nxt = tokens[at].gap, tokens[at]
            if gap == " & " and nxt.cap:
                joined = True
            elif gap in {" ", "'s "} and nxt.cap:
                pass
            elif (
                gap == " "
                and nxt.low in {"and", "of", "de", "du", "et", "und"}
                and at + 1 < size
                and (tokens[at + 1].cap and tokens[at + 1].gap == " ")
            ):
                at += 1
            else:
                break
            if nxt.code:
                break
            at += 1
        if at - index >= 2 and tokens[at - 1].low not in GENITIVE_THINGS:
            span = _trade_name(scan, tokens[index:at], joined=joined) or _name_in_place(
                scan, tokens[index - 1].low if index else "", tokens[index:at]
            )
            if span is not None:
                yield span
        index = at


_PLACED = word_set("at for from by with of on to via per behalf called")


_UI_NOUNS = word_set(
    "button tab page menu screen dialog section field view mode plan tier theme setting settings "
    "option options column report feature role team name access link list editor panel sidebar "
    "toolbar template key code number password mail email account user type date time status id "
    "form table chart board center centre store time zone step version update sync import export "
    "search filter help desk"
)
_UI_AROUND = re.compile(
    r"[>\"'\u2192]|\b(?:click|clicked|press|tap|choose|select|open|go to|under|menu|button|toggle|"
    r"switch|tick|"
    r"setting|option|called|feature|error|plugin|theme|template|preset|game|level|recipe|song|film|"
    r"movie|font|driver|firmware|version|update)\b"
)


def _name_in_place(scan: Scan, before: str, run: list[Token]) -> Span | None:
    """Capitals after a preposition, of which one is no vocabulary: "at Te Awa Polytechnic"."""
    if run[0].gap != " " or before not in _PLACED or not run[-1].text[-1].isalpha():
        return None
    first, last = run[0], run[-1]
    if first.low in NOT_NAMES | TITLES or any(t.low in scan.vendor.words for t in run):
        return None
    if any(t.kind & THING and not t.kind & (GIVEN | SURNAME) for t in run):
        return None
    unknown = any(not t.kind and len(t.text) > 2 and not t.text.isupper() for t in run)
    ends = not last.kind & (GIVEN | SURNAME) and (not last.kind or bool(last.kind & COMMON))
    person = bool(first.kind & GIVEN) and not first.kind & COMMON
    if unknown and ends and not person and last.low not in _JOB_WORDS:
        return first.start, last.end
    # ordinary words: "insured with Castle Keep Mutual"
    after = scan.lower[last.end : last.end + 14]
    plain = (
        before in {"with", "at", "by"}
        and not any(t.kind & THING for t in run)
        and all(looks_like_name(t) and t.low not in _UI_NOUNS | _JOB_WORDS for t in run)
        and not _UI_AROUND.search(scan.before(first.start, 60))
        and not re.match(r" ?(?:>|\u2192|/)| (?:" + "|".join(_UI_NOUNS) + r")\b", after)
    )
    return (first.start, last.end) if plain and len(run) in {2, 3} and not person else None


def _trade_name(scan: Scan, run: list[Token], *, joined: bool) -> Span | None:
    own = scan.vendor.words
    while len(run) > 1 and (
        run[0].low in _LEADING
        or run[0].low in NOT_NAMES
        or (
            run[0].first
            and run[0].kind & COMMON
            and not run[0].kind & (SURNAME | GIVEN)
            and len(run) > 2
            and run[0].low not in _TRADES
            and run[1].gap != " & "
        )
    ):
        run = run[1:]
    if len(run) < 2 or run[0].low in TITLES or any(t.low in own for t in run):
        return None
    if len(run) == 2 and run[0].kind & GIVEN and run[1].kind & SURNAME and not joined:
        return None  # Derek Mills
    trade = _is_trade(run[-1].low) or (run[0].low in _TRADES and not run[0].kind & COMMON)
    named = any(
        (not t.kind and len(t.text) > 2)
        or (t.kind & (SURNAME | GIVEN) and not t.kind & (COMMON | THING))
        for t in run
    )
    if _UI_BEFORE.search(scan.before(run[0].start, 12)):
        return None
    shouted = all(t.text.isupper() for t in run)
    if shouted and not (trade and len(run) >= 2):
        return None
    if trade and named:
        return run[0].start, run[-1].end
    if joined and named and len(run) >= 2:
        return run[0].start, run[-1].end
    # an ordinary word with a trade: "Kookaburra Kids Dental", "Bell & Whistle Events"
    if trade and len(run) >= 3 and joined and not run[0].first:
        return run[0].start, run[-1].end
    return None


def companies(scan: Scan) -> Iterator[Span]:
    """Positions of companies' names that nobody told of beforehand."""
    vocabulary = scan.vocabulary
    kind = words().kind
    if not scan.prefilter or _may_hold_legal_form(scan):
        for match in _WITH_SUFFIX.finditer(scan.text):
            start = match.start("x")
            first = re.match(r"[\w'&]+ ", scan.text[start:])
            # "For Acme Ltd": the sentence's first word is none of the name
            while (
                first
                and scan.lower[start : start + first.end() - 1] in _LEADING | _NOUNS
                and len(match["x"].split()) > 2
            ):
                start += first.end()
                first = re.match(r"[\w'&]+ ", scan.text[start:])
            yield start, match.end("x")
    # a name begins with a capital or is no vocabulary (a surname may be one: "with tolliver
    # cartage"): which words stand before such a one
    before = {
        scan.tokens[index - 1].low
        for index, token in enumerate(scan.tokens)
        if index
        and (token.cap or not token.kind & (COMMON | THING | GIVEN) or token.gap[-1:].isdigit())
    }
    shouted = reader_of(scan).shouted
    for pattern, folded, cues, lasts, lower in _COMPANY_PLACES:
        if scan.prefilter and (cues.isdisjoint(vocabulary) or (lasts and lasts.isdisjoint(before))):
            continue
        for match in pattern.finditer(scan.lower if folded else scan.text):
            end = _take_company(scan, match.end(), lower=lower)
            if end is not None and shouted and kind(scan.lower[match.end() : end].split()[0]):
                continue  # where all words are capitals, only unknown ones may be names
            if (
                end is not None
                and scan.text[match.end() - 1] in "\"'"
                and " " not in scan.text[match.end() : end]
            ):
                continue  # a word in quotation marks is rather a word than a company
            if end is not None:
                yield match.end(), end
    if not scan.prefilter or not {"from", "at", "with"}.isdisjoint(vocabulary):
        for match in _LOWER_INTRODUCTION.finditer(scan.lower):
            name = kind(match["n"])
            parts = re.findall(r"[\w'\-]+", match["x"])
            if (
                (name & GIVEN or not name)
                and _NO_PART.isdisjoint(parts)
                and not any(kind(part) & THING for part in parts)
                and not all(part in _JOB_WORDS for part in parts)
            ):
                yield match.span("x")
    yield from _named_after_trade(scan)
    for match in _THE_X_TEAM.finditer(scan.text):
        group = "x" if match["x"] else "y"
        head, *others = scan.lower[match.start(group) : match.end(group)].split()
        if all(kind(part) & COMMON for part in head.split("-")) or head in scan.vendor.words:
            continue
        if not kind(head) & (COMMON | THING | GIVEN) and not any(
            kind(w) & (COMMON | THING) for w in others
        ):
            yield match.span(group)
    yield from _signature_companies(scan)
    last = _LAST_FRAGMENT.search(scan.text)
    if last is not None:
        parts = re.findall(
            r"[^\W\d_]+(?:['\-][^\W\d_]+)*", scan.lower[last.start("x") : last.end("x")]
        )
        kinds = [kind(part) for part in parts]
        if (
            not kinds[0] & GIVEN
            and any(bits & COMMON and not bits & SURNAME for bits in kinds)
            and not any(part in _JOB_WORDS or part in NOT_NAMES for part in parts)
        ):
            yield last.span("x")


_LEADING = word_set(
    "for from to at with by our we the my is and this that company of on in please use hi hello "
    "it's dear why if when but so as not see"
)


def _signature_companies(scan: Scan) -> Iterator[Span]:
    lines = lines_of(scan)
    block = signature_block(scan)
    if block:
        for start, end in block[1]:
            lead = re.match(
                r"[ ]?[,|(/@\u2022\u00b7-]+[ ]?| (?:from|at|with|of) |", scan.text[start:end]
            )
            yield from _segments(scan, start + (lead.end() if lead else 0), end)
    if scan.prefilter and CLOSING_CUES.isdisjoint(scan.vocabulary):
        return
    closings = closing_lines(scan)
    same_lines = same_line_closes(scan)
    for index, (start, end) in enumerate(lines[:-1]):
        same_line = any(start <= place <= end for place in same_lines)
        if index not in closings and not same_line:
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
        # "VAT TR0000000123": a label and a number
        numbered = _NUMBERED.search(scan.text, begin, stop) or _NUMBER_NEXT.match(scan.text, stop)
        finish = None if numbered else _take_company(scan, begin, lower=None)
        tokens = re.findall(r"[^\W\d_]+", scan.lower[begin:stop])
        job = any(token in _JOB_WORDS for token in tokens) and len(tokens) <= 4
        legal = bool(tokens) and tokens[-1] in LEGAL_FORMS | GENERIC_WORDS
        name = bool(tokens) and (len(tokens) > 1 or not words().kind(tokens[0]) & (COMMON | THING))
        label = scan.text[begin:stop].isupper() and len(tokens) == 1 and len(tokens[0]) < 6
        if finish is not None and finish >= stop - 2 and name and not label and (not job or legal):
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
