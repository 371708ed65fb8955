"""Rules for postal addresses as countries write them, in capitals or without.

What lives here: a street with its number, then units, a postcode and a town, in the order and with
the words of many countries. What does not: streets of the English-speaking world, boxes, places of
a map (:mod:`supportbot_dagster.tickets.rules_identity`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from supportbot_dagster.tickets.rule import UNIT_AFTER, Rule, Scan, documented, last_match, regex
from supportbot_dagster.tickets.words import COMMON, THING, word_set, words

_W = r"[a-z][a-z'\-]{1,24}"
_NO = (
    r"(?:,?[ ]?(?:n\u00ba|n[o\u00ba]?[.:]?[ ]?\u00ba?|nr\.?|num\.?|no[.:]?|#)?[ ]?\d{1,5}[ ]?"
    r"(?:[a-z](?![a-z]))?(?:[/\-][ ]?\d{0,4}[a-z]?(?![a-z]))?)"
)
_SMALL = (
    r"(?:(?:de|du|des|la|le|les|el|los|las|del|della|dei|degli|delle|dello|di|da|do|dos|das|al|der|"
    r"den|dem|van|von|na|nad|sw\.|san|santa|sao|st\.?|l'|d'|dell')[ ]?)"
)
_PREFIX = (
    r"(?:rue|avenue|av\.?|avda\.?|boulevard|bd\.?|blvd\.?|place|quai|allee|chemin|impasse|cours|"
    r"route|sentier|passage|square|calle|c/|cl\.?|carrera|cra\.?|cr\.?|plaza|pza\.?|paseo|ronda|"
    r"camino|"
    r"carrer|avinguda|rua|r\.|travessa|tv\.?|largo|praca|estrada|rodovia|alameda|avenida|via|viale|"
    r"v\.le|piazza|p\.za|piazzale|corso|vicolo|strada|borgo|contrada|ulica|ul\.|aleja|al\.|plac|"
    r"pl\.|os\.|osiedle|"
    r"jalan|jl\.?|jln\.?|lorong|gang|calea|str\.|bulevardul|trg|ulice|nam\.|namesti)"
)
_SUFFIX = (
    r"(?:strasse|strase|str\.|str|weg|platz|gasse|allee|ring|damm|ufer|steig|graben|markt|straat|"
    r"gracht|"
    r"laan|plein|kade|singel|dijk|dreef|steeg|gatan|gata|vagen|vag|vej|gade|veien|vegen|katu|kuja|"
    r"utca|korut|tere|sokagi|sokak|caddesi|bulvari)"
)
_TURKISH = (
    r"(?:sokagi|sokak|sok\.?|sk\.?|caddesi|cadde|cad\.?|cd\.?|bulvari|blv\.?|mahallesi|"
    r"mah\.?|mh\.?)"
)
_STREETS: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = (
    (
        # "rua das laranjeiras, 663", "Calle del Olmo 25"
        _PREFIX
        + r"[ ](?:"
        + _SMALL
        + r"){0,3}"
        + _W
        + r"(?:[ ](?:"
        + _SMALL
        + r"){0,2}"
        + _W
        + r"){0,4}"
        + _NO,
        word_set(
            "rue avenue av avda boulevard bd blvd place quai allee chemin impasse cours route "
            "sentier "
            "passage square calle c cl carrera cra cr plaza pza paseo ronda camino carrer "
            "avinguda rua "
            "r travessa tv largo praca estrada rodovia alameda avenida via viale v piazza p "
            "piazzale "
            "corso vicolo strada borgo contrada ulica ul aleja al plac pl os osiedle jalan jl jln "
            "lorong gang calea str bulevardul trg ulice nam namesti"
        ),
        frozenset(),
    ),
    (
        # "12 bis, rue de la Paix"
        r"\d{1,4}(?:[ ]?(?:bis|ter|[a-z])(?![a-z]))?,?[ ](?:rue|avenue|av\.|boulevard|bd|place|"
        r"quai|"
        r"allee|chemin|impasse|cours|route|square|passage)[ ](?:"
        + _SMALL
        + r"){0,3}"
        + _W
        + r"(?:[ -](?:"
        + _SMALL
        + r"){0,2}"
        + _W
        + r"){0,4}?",
        word_set(
            "rue avenue av boulevard bd place quai allee chemin impasse cours route square passage"
        ),
        frozenset(),
    ),
    (
        # "kerkweg 3", "oude gracht 155-a", "Alte Post-Str. 9"
        r"(?:"
        + _W
        + r"[ -]){0,2}(?:[a-z\-]{2,24})?"
        + _SUFFIX
        + r"[ ]\d{1,4}[ ]?(?:[a-z](?![a-z]))?"
        r"(?:[/\-][ ]?(?:\d{1,4}[a-z]?|[a-z]|bis|hs)(?![a-z]))?",
        frozenset(),
        frozenset({"street"}),
    ),
    (
        r"(?:am|an der|an den|auf der|auf dem|im|in der|unter den|unter der|zum|zur|op de|aan "
        r"de)[ ]" + _W + r"(?:[ ]" + _W + r")?[ ]\d{1,4}[a-z]?",
        word_set("am der den dem im zum zur de"),
        frozenset(),
    ),
    (
        # "Cinar Sok. No: 94/1"
        r"(?:"
        + _W
        + r"[ ]){1,3}"
        + _TURKISH
        + r"(?:[ ,]{1,2}(?:"
        + _W
        + r"[ ]){1,2}"
        + _TURKISH
        + r")?,?[ ](?:no[.:]{0,2}[ ]?)?\d{1,4}(?:/\w{1,4})?(?:[ ]?d(?:aire)?[.:][ ]?\d{1,3})?",
        word_set("sokagi sokak sok sk caddesi cadde cad cd bulvari blv mahallesi mah mh"),
        frozenset(),
    ),
    (
        # "H.No. 8-4-91", "Flat No 12"
        r"(?:h\.? ?no\.?|house no\.?|flat no\.?|flat|plot no\.?|plot|door no\.?|d\.? ?no\.?|"
        r"shop no\.?|survey no\.?)[ ]?:?[ ]?[a-z]?-?\d[\w/\-]{0,12}",
        word_set("h house flat plot door d shop survey"),
        frozenset(),
    ),
    (
        # "8-2 Karasuma-dori"
        r"\d{1,4}-\d{1,3}(?:-\d{1,3})?,?[ ][a-z\-]{3,24}(?:[ ][a-z\-]{3,24})?",
        frozenset(),
        frozenset(),
    ),
    (
        # "538 e 9th st #901", "70 protea close"
        r"\d{1,5}[a-z]?,?[ ](?:(?:n|s|e|w|ne|nw|se|sw|north|south|east|west)\.?[ ])?"
        r"(?:" + _W + r"[ ]|\d{1,3}(?:st|nd|rd|th)[ ]){1,3}"
        r"(?:street|st|road|rd|avenue|ave|av|boulevard|blvd|lane|ln|drive|dr|way|court|ct|place|pl|"
        r"square|sq|terrace|ter|close|crescent|cres|parkway|pkwy|highway|hwy|quay|row|mews|gardens|"
        r"grove|hill|walk|alley|circle|cir|trail|wharf|parade|loop|plaza|pike|rise|view|green|park|"
        r"path)\b\.?",
        word_set(
            "street st road rd avenue ave av boulevard blvd lane ln drive dr way court ct place pl "
            "square sq terrace ter close crescent cres parkway pkwy highway hwy quay row mews "
            "gardens "
            "grove hill walk alley circle cir trail wharf parade loop plaza pike rise view green "
            "park "
            "path"
        ),
        frozenset(),
    ),
)
_POST = (
    r"(?:[a-z]{1,2}\d[a-z\d]?[ ]\d[a-z]{2}|[a-z]\d[a-z][ ]\d[a-z]\d|\d{5}-\d{3}|\d{4}-\d{3}|"
    r"\d{3}-\d{4}|\d{2}-\d{3}|\d{3}[ ]\d{2}|"
    r"\d{4}[ ]?[a-z]{2}(?![a-z])|(?:[a-z]{1,2}-)?\d{4,6}(?:-\d{4})?|[a-z]{2}[ ]\d{5}(?:-\d{4})?|"
    r"[a-z]\d\d[ ]?[a-z\d]{4})(?!\w)"
)
_TOWN = r"[a-z][a-z'\-.]{1,24}(?:[ ][a-z][a-z'\-.]{1,24}){0,2}"
_UNIT = (
    r"(?:\d{1,3}\.?[ ]?[o\u00ba\u00aaa]\.?[ ]?(?:esq|dto|dta|dt|izq|izda|dcha|fte|"
    r"[a-f])?(?![a-z])\.?|"
    r"(?:piso|apto|apartamento|apt|ap|appt|app|apartment|bloco|bl|lote|casa|sala|int|interno|"
    r"scala|esc|escalera|porta|puerta|pta|"
    r"planta|stiege|top|tur|m|lok|lokal|kat|daire|d|flat|unit|suite|ste|floor|etage|etg|et|sector|"
    r"phase|block|wing|level|lvl|"
    r"building|bldg|batiment|bat|hus|leil|no|nr|box|bus|boite|room|rm|office|shop)\.?[ "
    r":]{0,2}[a-z]?-?\d{0,5}[a-z]?(?![a-z])|"
    r"#[ ]?\w{1,6}|\d{1,3}(?:st|nd|rd|th)[ ]floor|\d{1,5}[a-z]?(?![\w]))"
)
_SEP = r"(?:,[ ]?|[ ]-[ ]|,?\n[ ]{0,4}|[ ](?=[\d#]|apt|unit|suite|ste|flat))"
_MIDDLE = (
    r"(?:"
    + _SEP
    + r"(?:"
    + _UNIT
    + r"|"
    + _TOWN
    + r")(?=[,\n]|[ ]-[ ]|[ ]#|[ ]\d|[ ][a-z]{1,2}\d|[ ][a-z]{2}[ ]\d)){0,4}"
)
_END = (
    r"(?:"
    + _SEP
    + r"(?:"
    + _POST
    + r"[ ,]{1,2}"
    + _TOWN
    + r"|(?:"
    + _TOWN
    + r"(?:,|[ ]-)?[ ])?(?:[a-z]{2}(?:,|[ ]-)?[ ])?"
    + _POST
    + r")|[ ]"
    + _POST
    + r")"
)
_LAST = r"(?:,[ ](?P<t>" + _TOWN + r")(?=[.,;:)!?\n]|\Z))"

_ADDRESSED = re.compile(
    r"\b(?:address|adresse|direccion|endereco|indirizzo|adres|lives?|lived|living|reside[sd]?|"
    r"based|located|ship(?:ped|ping)?|"
    r"deliver(?:ed|y|ies)?|sen[dt]|post(?:ed)?|mov(?:ed?|ing)|premises|office|shop|store|house|"
    r"home|survey|site|parcel|courier|"
    r"package|label|invoice|billing|warehouse|studio|clinic|branch|from|to|at|of|attn|attention|"
    r"show)\b[^.!?]{0,60}$"
)


_POSTED = re.compile(_POST)
_LED = re.compile(
    r"\d|(?:" + _PREFIX + r")[ ]|(?:an de[rn]|auf de[rm]|in der|unter de[rn]|zum|zur|op de|aan de) "
)
_LOOSE = re.compile(r"[a-z'\-]+ ")
_WORDS = re.compile(r"[^\s,]+")
_NO_TOWN = word_set(
    "is are was were be has had have the a an and or but not no on in at to for with by from of it "
    "we i you he she they my our your his her which who that this please pls thanks thank instead "
    "between because since when while if so then now here there near next behind opposite via per "
    "mobile phone tel fax mail email gracias danke merci grazie obrigado bitte und et y e leave "
    "left attn rows users units items points"
)
_INSIDE = word_set(
    "de la le les el los las do da dos das del di d' en an am der den am im a upon on sur sous san"
)


def _tail(scan: Scan, start: int, end: int) -> int:
    """Where a town's name ends: words of the sentence that goes on are none of it."""
    posted = last_match(_POSTED, scan.lower[start:end])
    if posted is None:
        return end
    place = start + posted.end()
    kind = words().kind
    last = place
    capital: bool | None = None
    for word in _WORDS.finditer(scan.lower, place, end):
        low = word[0].rstrip(".")
        upper = scan.text[word.start()].isupper()
        if capital is None:
            capital = upper
        if low in {"-", "#"}:
            continue
        if low in _INSIDE and last > place:
            continue
        if low in _NO_TOWN or (capital and not upper):
            break
        bits = kind(low)
        if last > place and not upper and bits & COMMON and not bits & THING:
            break
        last = word.end()
        if word[0].endswith(".") and len(word[0]) > 3:
            last -= 1
            break
    return last


@dataclass(frozen=True)
class Postal(Rule):
    """An address, without the words of the sentence that stand before and after it."""

    def spans(self, scan: Scan) -> list[tuple[int, int]]:
        """Where the rule applies in ``scan``."""
        found = []
        kind = words().kind
        for match in self.pattern.finditer(scan.lower):
            start, end = match.span("x")
            while _LED.match(scan.lower, start) is None:
                word = _LOOSE.match(scan.lower, start)
                if word is None or not kind(word[0].strip()) & COMMON:
                    break
                start = word.end()
            if _POSTED.search(scan.lower, start, end) is not None:
                end = _tail(scan, start, end)
            if self.accept(match, scan) and _is_placed(scan, start, end):
                found.append((start, end))
        return found


def _is_placed(scan: Scan, start: int, end: int) -> bool:
    """Whether a street, a number and a postcode make an address, from what is around."""
    value = scan.lower[start:end]
    if documented(scan, start, end) or UNIT_AFTER.match(scan.after(end)) or "anytown" in value:
        return False
    if re.search(r"\d:\d\d|\d\.\d\.\d|[$\u20ac\u00a3]", value) or re.match(r"\d{4}-\d\d?-", value):
        return False
    if re.search(r"\b(?:19|20)\d\d$", value) and scan.after(end, 1) not in {"", ",", ".", "\n"}:
        return False
    kind = words().kind
    parts = re.findall(r"[a-z]{3,}", value)
    if not parts:
        return False
    spoken = _ADDRESSED.search(scan.before(start, 70)) is not None
    odd = any(not kind(part) & COMMON or kind(part) & THING for part in parts)
    return (odd or spoken) and (
        spoken or any(map(str.isupper, scan.text[start:end])) or ", " in value
    )


def _is_bare(match: re.Match[str], scan: Scan) -> bool:
    """A street without postcode: only where an address is spoken of."""
    start, end = match.span("x")
    if documented(scan, start, end) or re.search(r"\d:\d\d|\d\.\d", match["x"]):
        return False
    kind = words().kind
    parts = re.findall(r"[a-z]{4,}", match["x"])
    if len(parts) < 2 or not any(not kind(part) & COMMON for part in parts[1:]):
        return False
    return (
        re.search(
            r"\b(?:address|adresse|direccion|endereco|indirizzo|adres|live[sd]?|living|resid\w+|"
            r"ship(?:ped)? to|deliver(?:ed)? to|"
            r"moved to|located at|based at|sent? to|premises|is at|office at|shop "
            r"at)\b[^.!?\n]{0,40}$",
            scan.before(start, 60),
        )
        is not None
    )


POSTAL: list[Rule] = [
    *(
        Postal(
            "ADDRESS",
            regex(
                r"(?<![\w.#/\-])(?P<x>"
                + street
                + _MIDDLE
                + _END
                + r"(?:"
                + _LAST
                + r")?)(?![\w\-])",
                flags=0,
            ),
            folded=True,
            digits=4,
            cues=cues,
            needs=needs,
            score=0.885,
        )
        for street, cues, needs in _STREETS
    ),
    Rule(
        "ADDRESS",
        regex(
            r"(?<![\w.#/\-])(?P<x>"
            + _PREFIX
            + r"[ ](?:"
            + _SMALL
            + r"){0,3}"
            + _W
            + r"(?:[ ](?:"
            + _SMALL
            + r"){0,2}"
            + _W
            + r"){0,3}"
            + _NO
            + r"(?:,[ ]"
            + _UNIT
            + r"){0,2})(?!\w)",
            flags=0,
        ),
        folded=True,
        digits=1,
        cues=word_set(
            "address adresse direccion endereco indirizzo adres live lived lives living reside "
            "resides "
            "ship shipped deliver delivered moved located based send sent premises office shop"
        ),
        accept=_is_bare,
        score=0.85,
    ),
]
