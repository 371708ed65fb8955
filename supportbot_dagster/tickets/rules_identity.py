"""Rules for what an office knows a person by: ids, references, addresses, dates of birth.

What lives here: government ids, order and account references, postal addresses. What does not:
names (:mod:`supportbot_dagster.tickets.persons`).
"""

from __future__ import annotations

import re

from supportbot_dagster.tickets.rule import (
    UNIT_AFTER,
    Rule,
    Scan,
    documented,
    end_of,
    exemplified,
    is_message,
    joined,
    regex,
    speaks_of_changes,
    start_of,
    value_of,
)
from supportbot_dagster.tickets.words import COMMON, word_set, words

# --- government ids ----------------------------------------------------------------------------

_ID_WORD = (
    r"(?:vat(?:[ -]?(?:id|no\.?|nr\.?|number|reg\w*))?|tax[ -]?(?:id|no\.?|number|payer\w*|code|"
    r"ref\w*)|"
    r"tin|ein|itin|ssn|social security(?: number| no\.?)?|sin|nino?|national insurance(?: number|"
    r" no\.?)?|ni(?: number)?|nhs(?: number)?|"
    r"passport(?: number| no\.?)?|driv(?:er'?s?|ing) licen[cs]e(?: number| no\.?)?|"
    r"ust-?id(?:-?nr)?\.?|ust-?idnr\.?|steuer(?:nummer|-?id)|mwst|tva|siren|siret|nif|nie|cif|"
    r"dni|iva|p\.? ?iva|"
    r"partita iva|codice fiscale|cpf|cnpj|curp|rfc|abn|acn|tfn|gst(?:in)?(?: number)?|pan(?: "
    r"card| number)?|aadhaa?r|personnummer|pesel|bsn|kvk|btw|nric|fin|hkid|cuit|cuil|rut|"
    r"national id(?: number)?|identity (?:card|number)|id card|personal id(?:entification)?(?: "
    r"number)?|"
    r"employee (?:id|number|no\.?)|staff (?:id|number)|student (?:id|number)|company (?:reg\w*|"
    r"number|no\.?)|"
    r"registration (?:number|no\.?)|handelsregister|crn|imei|serial (?:number|no\.?)|vin|policy "
    r"number|medicare(?: number)?|member(?:ship)? (?:id|number))"
)


_ID_CUES = word_set(
    "vat tax taxpayer taxpayers tin ein itin ssn social sin ni nin nino national nhs passport driver drivers driving "
    "ust ustid ustidnr steuer steuernummer mwst tva siren siret nif nie cif dni iva p piva partita "
    "codice cpf cnpj curp rfc abn acn tfn gst gstin pan aadhar aadhaar personnummer pesel bsn kvk "
    "btw nric fin hkid cuit cuil rut identity id personal employee staff student company "
    "registration handelsregister crn imei serial vin policy medicare member membership"
)


def _is_id(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match)
    count = sum(char.isdigit() for char in value)
    if re.fullmatch(r"(?:19|20)\d\d", value) or re.match(r"tl-\d", value.lower()):
        return False
    if documented(scan, start_of(match), end_of(match)):
        return False
    return count >= 5 or (count >= 3 and len(value) >= 8)


GOVERNMENT_ID = [
    Rule(
        "ID",
        regex(
            r"\b"
            + _ID_WORD
            + r"\b(?:[ ](?:is|number|no\.?|nr\.?|id|was|on file|to|:|should be)){0,3}[ "
            r"]?[:#=.\-(]{0,2}[ ]{0,2}"
            r"(?P<x>[a-z]{0,4}[ ]?[\d][a-z0-9]*(?:[ .\-/][a-z]{0,2}\d[a-z0-9]*){0,6}(?:[ "
            r"]?[a-z]\b(?![ ][a-z]))?)",
            flags=0,
        ),
        folded=True,
        cues=_ID_CUES,
        digits=3,
        accept=_is_id,
        score=0.89,
    ),
    Rule(
        "ID",
        regex(
            r"\b" + _ID_WORD + r"\b(?:[ ](?:is|number|no\.?|nr\.?|id|was)){0,3}[ ]?[:#=]{0,1}[ "
            r"]{0,2}(?P<x>(?=[a-z0-9]{0,20}\d)[a-z0-9][a-z0-9\-]{5,20})\b",
            flags=0,
        ),
        folded=True,
        accept=_is_id,
        digits=3,
        cues=_ID_CUES,
        score=0.885,
    ),
    Rule(
        "ID",
        regex(r"(?<![\w\-])(?P<x>(?!000|666|9)\d{3}[- ](?!00)\d{2}[- ](?!0000)\d{4})(?![\w\-])"),
        accept=lambda match, scan: (
            "-" in match["x"]
            or "ss" in scan.before(match.start("x"), 24)
            or "social" in scan.before(match.start("x"), 30)
        ),
        digits=9,
        needs=frozenset({"social"}),
        score=0.9,
    ),
    Rule(
        "ID",
        regex(
            r"(?<![\w\-])(?P<x>ATU\d{8}|BE[ ]?0\d{3}[. ]?\d{3}[. ]?\d{3}|DE[ ]?\d{9}|DE[ ]\d{3}[ "
            r"]\d{3}[ ]\d{3}|DK[ ]?\d{8}|"
            r"ES[ ]?[A-Z0-9]\d{7}[A-Z0-9]|FR[ ]?[A-Z0-9]{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}|GB[ "
            r"]?\d{3}[ ]?\d{4}[ ]?\d{2}(?:[ ]?\d{3})?|"
            r"IE[ ]?\d[A-Z0-9+*]\d{5}[A-Z]{1,2}|IT[ ]?\d{11}|NL[ ]?\d{9}[ ]?B\d{2}|PL[ ]?\d{10}|"
            r"PT[ ]?\d{9}|SE[ ]?\d{12}|"
            r"FI[ ]?\d{8}|CZ\d{8,10}|HU\d{8}|RO\d{6,10}|EL\d{9}|LU\d{8}|SK\d{10}|SI\d{8}|"
            r"HR\d{11}|EE\d{9}|LV\d{11}|LT\d{9,12}|"
            r"BG\d{9,10}|CY\d{8}[A-Z]|MT\d{8}|CHE[- ]?\d{3}[. ]?\d{3}[. ]?\d{3}|NO[ ]?\d{9}(?:[ "
            r"]?MVA)?)(?![\w\-])",
            flags=0,
        ),
        digits=6,
        accept=lambda match, scan: not exemplified(scan, match.start("x"), match.end("x")),
        needs=frozenset({"five"}),
        score=0.9,
    ),
    Rule(
        "ID",
        regex(
            r"(?<![\w\-.])(?P<x>\d{3}\.\d{3}\.\d{3}-\d{2}|\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}|"
            r"\d{2}[A-Z]{5}\d{4}[A-Z][A-Z0-9]Z[A-Z0-9]|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ "
            r"]?\d{2}[ ]?\d{2}[ ]?\d{2}[ ]?[A-D]|"
            r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]|[XYZ]\d{7}[A-Z]|\d{8}[A-HJ-NP-TV-Z]|"
            r"[STFGM]\d{7}[A-Z]|[A-Z]{5}\d{4}[A-Z]|\d{6}[-+]\d{4}|[1-4]\d{2}[ ]\d{2}[ ]\d{2}[ "
            r"]\d{2}[ ]\d{3}[ ]\d{3}[ ]\d{2}|"
            r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d)(?![\w\-])",
            flags=0,
        ),
        digits=4,
        accept=lambda match, scan: not exemplified(scan, match.start("x"), match.end("x")),
        needs=frozenset({"state"}),
        score=0.88,
    ),
]


# --- references --------------------------------------------------------------------------------

_REFERENCE_WORD = (
    r"(?:invoice|order|receipt|customer|client|account|acct|subscription|transaction|payment|"
    r"purchase order|"
    r"p\.?o(?![a-z])\.?|booking|contract|quote|credit note|refund|case|ticket|support (?:ticket|case|"
    r"request)|reference|ref|"
    r"confirmation|tracking|shipment|license|licence|dispute|charge|billing|workspace|"
    r"organi[sz]ation|org|tenant|session|request|trace|device|installation|debug|correlation|user)"
)
_FORGE_WORD = re.compile(
    r"(?:\bpr|pull request|pull|issue|issues|\bmr|merge request|bug|commit|milestone|chapter|"
    r"step|item|colou?r|hex|"
    r"background|theme|css|label|fill|shade|channel|row|line|page|section|rank|part|priority)s?[ "
    r":=\"'(]*$"
)


_REFERENCE_CUES = word_set(
    "invoice order receipt customer client account acct subscription transaction payment purchase "
    "p po booking contract quote credit refund case ticket support reference ref confirmation "
    "tracking shipment license licence dispute charge billing workspace organisation organization "
    "org tenant session request trace device installation debug correlation user"
)
_REFERENCE_CUES |= joined(
    " ".join(_REFERENCE_CUES), "number numbers no nr num id ids ref reference code"
)
_REFERENCE_PREFIXES = word_set(
    "inv invoice ord order acc acct account cust customer cus client ref po so rma tck tkt ticket "
    "case sub txn pay pmt cr cn re rg rn quo qt quote contract lic rcpt receipt refund bill bil "
    "sup sr fac fact req"
)


def _is_reference(match: re.Match[str], scan: Scan) -> bool:
    value = value_of(match)
    count = sum(char.isdigit() for char in value)
    if re.fullmatch(r"(?:19|20)\d\d", value) or count < 4:
        return False
    if documented(scan, start_of(match), end_of(match)):
        return False
    if re.fullmatch(r"[A-Za-z]{2,5}-\d{1,5}", value) and not re.match(
        r"(?i)(?:inv|ord|ref|acc|acct|cust|cus|po|so|rma|txn|sub|pay|cn|cr|qt|quo|rcpt|tkt|req|"
        r"con|bil)-",
        value,
    ):
        # an issue id such as ENG-1421, unless an order or invoice number is announced
        return (
            re.search(r"invoice|order|receipt|customer|account|contract", match[0].lower())
            is not None
        )
    if UNIT_AFTER.match(scan.after(end_of(match))) is not None:
        return False
    return re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}$", value) is None


REFERENCE = [
    Rule(
        "REFERENCE",
        regex(
            r"(?<![\w\-])#?(?P<x>(?:inv|invoice|ord|order|acc|acct|account|cust|customer|cus|"
            r"client|ref|po|so|rma|tck|tkt|ticket|case|sub|txn|pay|"
            r"pmt|cr|cn|re|rg|rn|quo|qt|quote|contract|lic|rcpt|receipt|refund|bill|bil|sup|sr|"
            r"fac|fact|req)"
            r"(?:[-_/#](?:[a-z]{1,4}[-_/]?)?|(?=\d))\d{2,12}(?:[-_/][a-z0-9]{1,12}){0,3})(?![\w])",
            flags=0,
        ),
        folded=True,
        accept=lambda match, scan: (
            _prefixed_reference(match["x"])
            and not is_message(scan, match.start("x"), match["x"])
            and re.search(
                r"\b(?:error|err|fehler|erreur)\b[^.\n]{0,14}$", scan.before(match.start("x"), 24)
            )
            is None
            and not documented(scan, match.start("x"), match.end("x"))
        ),
        digits=3,
        cues=_REFERENCE_PREFIXES,
        needs=frozenset({"coded"}),
        score=0.83,
    ),
    Rule(
        "REFERENCE",
        regex(
            r"\b"
            + _REFERENCE_WORD
            + r"(?:[ -]?(?:number|numbers|no\.?|nr\.?|num|id|ids|ref(?:erence)?|code|#))?(?:[ "
            r"](?:is|was|are|for|of|to))?[ ]?[:=]?[ ]?(?:no\.?|nr\.?|#|\()?[ "
            r"]?[\"']?(?P<x>(?=[\w\-/]{0,40}\d)[a-z0-9]{1,20}"
            r"(?:[-_/][a-z0-9]{1,20}){0,5})(?![\w])",
            flags=0,
        ),
        folded=True,
        accept=_is_reference,
        digits=4,
        cues=_REFERENCE_CUES,
        score=0.78,
    ),
    Rule(
        "REFERENCE",
        regex(r"(?<![\w/&\-#])#[ ]?(?P<x>[A-Z]{0,3}-?\d{4,14}(?:-\d{1,8})?)(?![\w])"),
        gate=("#",),
        digits=True,
        accept=lambda match, scan: (
            not documented(scan, match.start(), match.end())
            and _FORGE_WORD.search(scan.before(match.start(), 20)) is None
            and _FORGE_WORD.search(scan.before(match.start(), 20).rstrip("# ")) is None
            and not speaks_of_changes(scan, match.start(), match.end())
            and re.search(r"colou?r|hex|css|theme", scan.before(match.start(), 40)) is None
            and not (
                len(match["x"]) in (4, 6) and re.search(r"\bcolou?rs?\b|\bcss\b|rgb", scan.lower)
            )
        ),
        score=0.77,
    ),
    Rule(
        "REFERENCE",
        regex(
            r"(?<![\w\-])(?P<x>(?:cus|sub|in|ch|pi|pm|evt|acct|txn|ord|usr|user|ws|org|wsp|inv|"
            r"py|re|si|seti|req|sess|dev|cs|mem|team)_(?=[A-Za-z]*\d)[A-Za-z0-9]{8,60})(?![\w])"
        ),
        gate=("_",),
        digits=True,
        score=0.86,
    ),
]


def _prefixed_reference(value: str) -> bool:
    head = re.match(r"[A-Za-z]+", value)
    prefix = head[0].upper() if head else ""
    count = sum(char.isdigit() for char in value)
    separated = re.search(r"[-_/#]", value) is not None
    if prefix in {
        "INV",
        "INVOICE",
        "ORD",
        "ORDER",
        "ACCT",
        "ACC",
        "CUST",
        "CUSTOMER",
        "TXN",
        "RCPT",
        "RECEIPT",
    }:
        return count >= 3 and (separated or count >= 4)
    if not separated:
        return False
    return (
        count >= 5
        or re.search(r"(?:19|20)\d\d[-_/]\d{2,}", value) is not None
        or (count >= 4 and prefix not in {"RE"})
    )


_ACCOUNT_WORD = re.compile(
    r"account|workspace|user|customer|org|tenant|session|subscription|request|trace|device|member|"
    r"licen[cs]e|correlation|debug|support|invoice|client|install|\bmine\b|\bmy\b|\bour\b|\bhis\b|"
    r"\bher\b|\bwho\b|contact|employee|student|patient|course|profile|person"
)

UUID = [
    Rule(
        "ID",
        regex(
            r"(?<![\w\-])(?P<x>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?!["
            r"\w\-])"
        ),
        gate=("-",),
        accept=lambda match, scan: (
            _ACCOUNT_WORD.search(scan.before(match.start("x"), 60)) is not None
        ),
        digits=1,
        needs=frozenset({"run32"}),
        score=0.87,
    ),
]


# --- places and dates --------------------------------------------------------------------------

_STREET = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Av|Boulevard|Blvd|Lane|Ln|Drive|Dr|Way|Court|Ct|Place|Pl|"
    r"Square|Sq|Terrace|Close|"
    r"Crescent|Cres|Parkway|Pkwy|Highway|Hwy|Quay|Row|Mews|Gardens|Grove|Hill|Walk|Alley|Circle|"
    r"Cir|Trail|Wharf|Parade|Loop|Plaza|Pike)"
)
_TITLE = r"(?:(?:St|Mt|Ft|Sta?)\.|[A-Z\u00c0-\u00de](?:[\w'\u00c0-\u024f\-]|\.(?=\w)){0,24})"
_UNIT = (
    r"(?:,?[ ](?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Flat|Room|Rm|Building|Bldg|Level|"
    r"#)\.?[ ]?[\w\-]{1,8}|,?[ ]\d{1,3}(?:st|nd|rd|th)[ ](?:Floor|floor|Fl)\.?)?"
)
_POST = (
    r"(?:[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[A-Z]{2}|[A-Z]\d[A-Z][ ]?\d[A-Z]\d|"
    r"(?:[A-Z]{1,2}-)?\d{4,5}(?:-\d{3,4})?(?:[ ][A-Z]{2})?|\d{3}[ ]?\d{2,3}|\d{3}-\d{4})"
)
_CITY = (
    r"(?:,?[ \n]{1,2}(?:"
    + _POST
    + r"[ ])?"
    + _TITLE
    + r"(?:[ ](?:de|am|an der|upon|sur|on|la|le|do|da|del|"
    + _TITLE
    + r")){0,3}"
    r"(?:,?[ ](?:[A-Z]{2,3}|"
    + _TITLE
    + r"))?(?:,?[ ]"
    + _POST
    + r")(?:,?[ ](?:"
    + _TITLE
    + r"(?:[ ]"
    + _TITLE
    + r")?|USA|UK))?)"
)
_CITY_AFTER = (
    r"(?:,[ ]?"
    + _POST
    + r"[ ]"
    + _TITLE
    + r"(?:[ ]"
    + _TITLE
    + r"){0,2}(?:,[ ]"
    + _TITLE
    + r")?|,[ ]"
    + _TITLE
    + r"(?:[ ]"
    + _TITLE
    + r")?(?:,[ ]"
    + _TITLE
    + r")?(?![\w]))"
)
_TAIL = r"(?:" + _CITY + r"|" + _CITY_AFTER + r")?"


def _is_address(match: re.Match[str], scan: Scan) -> bool:
    body = match[0]
    if re.search(r"\b(?:Google|One) ?Drive\b|\bAnytown\b|^123 Main St", body):
        return False
    return ">" not in scan.before(match.start(), 3)


_WORD_OF_ADDRESS = (
    r"(?:(?:St|Rd|Ave?|Blvd|Dr|Ln|Apt|Ste|Bldg|Fl|No|Nr|Co|Str|Pl|Sq|Ct|Esq|Mt|Ft|Av|Jl|Ul|Al|Os|"
    r"Gen|Sta?|Cad|Sok|Mah)\.(?=[ ,\n])|"
    r"(?!(?:VAT|GSTIN?|HST|IBAN|TVA|NIF|SSN|EIN|PIN|PAN|MRN|Tel|Phone|Mobile|Fax|Mail|Ciao|Thanks|"
    r"Regards|Serial|Please)\b)[A-Z\u00c0-\u00de\u0100-\u017e](?:(?:[\w'\-]|\.(?=\w))*))"
)
_NUMBER_OF_ADDRESS = r"\d(?:[\w/\-\u00ba]|\.(?=\w))*(?:\.(?=\u00ba|[ ]\u00ba))?"
_SMALL = (
    r"(?:y|de|do|da|das|dos|du|des|der|den|la|le|el|del|am|an|auf|upon|on|of|the|und|e|na|nad|van|"
    r"von|sur|sous|di|al|bin|mac|st\.|d'|l'|in|\u00fat|utca|t\u00e9r|ulica|katu|v\u00e4g|gata|gate|"
    r"vei|gade|cad)"
)
_PART = (
    r"(?:(?:(?:ul|al|os|str|c|av|avda|jl|bd|r|pl)[./][ ]?|#[ ]?|(?:lote|lot|piso|apto|apt|bloco|"
    r"flat|unit|suite|int|interno|scala|stiege|top)[ ](?=\d))?(?:"
    + _WORD_OF_ADDRESS
    + r"|"
    + _NUMBER_OF_ADDRESS
    + r")"
    r"(?:[ ](?:" + _WORD_OF_ADDRESS + r"|" + _SMALL + r"|" + _NUMBER_OF_ADDRESS + r"|#\d+)){0,6})"
)
_CHAIN = re.compile(
    # its first line holds a number or a building, so that a name above the address is none of it
    r"(?<![\w@./#\-])(?=[^\n\d]{0,120}+\d|[^\n]{0,120}?(?:\b(?:House|Cottage|Farm|Barn|Forge|Mill|"
    r"Lodge|Hall|Court|"
    r"Lane|Road|Street|Close)\b))(?P<x>(?:(?:\d{1,4}[ ]?(?:bis|ter|[A-Za-z])?,?[ ])?(?:rue|avenue|"
    r"boulevard|calle|via|rua|avenida|ulica|"
    r"jalan|chemin|piazza|place|quai)[ ](?:(?:de|du|des|la|le|los|las|da|do|dos|della|del|dei|"
    r"degli|delle|di)[ ])*)?"
    + _PART
    + r"(?:(?:,[ ]?|,?\n(?=[^\n:]{3,60}(?:\n|\Z))|[ ]-[ ])"
    + _PART
    + r"){1,6})"
)
_POSTCODE = re.compile(
    r"\b(?:[A-Z]{1,2}\d{1,2}[A-Z]?[ ]\d[A-Z]{2}|[A-Z]{2}\d{2}[ ]\d[A-Z]{2}|[A-Z]\d[A-Z][ "
    r"]?\d[A-Z]\d|[A-Z]\d[\dW][ ]?[A-Z\d]{4}|(?:NSW|VIC|QLD|WA|SA|TAS|ACT|NT)[ ]\d{4}|[A-Z]{2}[ "
    r"]\d{5}(?:-\d{4})?|"
    r"\d{3}[ ]\d{2}(?=[ ][A-Z\u00c0-\u017e])|\d{2}-\d{3}(?=[ ][A-Z\u00c0-\u017e])|\d{4}-\d{3}|"
    r"\d{4}[ ]?[A-Z]{2}(?=[ ,]+[A-Z])|"
    r"(?:[A-Z]{1,2}-)?\d{4,5}[ ][A-Z\u00c0-\u017e][\w\u00c0-\u017e]{2,}|[a-z][ -]\d{6}\b|[a-z][ "
    r"]\d{3}[ ]\d{3}\b|\u3012\d{3}-\d{4}|\d{3}-\d{4}(?=[ ]+[A-Z]))(?![\w])"
)
_TOWN_CODE = re.compile(r"[A-Z][\w\u00c0-\u017e]{2,}[ \-]{1,3}\d{3}[ ]?\d{1,3}(?![\w])")
_STREET_WORD = re.compile(
    r"\b(?:Street|St|Road|Rd|Avenue|Ave|Boulevard|Blvd|Lane|Ln|Drive|Dr|Way|Court|Ct|Place|Pl|"
    r"Square|Sq|"
    r"Terrace|Close|Crescent|Parkway|Highway|Hwy|Quay|Row|Mews|Gardens|Grove|Hill|Walk|Alley|"
    r"Circle|Trail|"
    r"Wharf|Parade|Loop|Plaza|Path|Yard|Park|Estate|Rise|View|Green|Bypass|Esplanade|House|Cottage|"
    r"Farm|"
    r"Barn|Forge|Mill|Lodge|Flat|Unit|Apt|Suite|Lot|Floor|Box|Block|Plot|Nagar|Marg|Chowk|Sector|"
    r"Colony|"
    r"Rue|Avenue|Calle|Carrera|Avenida|Av|Rua|Via|Viale|Piazza|Corso|Odos|Ulica|Jalan|Jl|Street|"
    r"Industrial)\b|"
    r"\w(?:strasse|stra\u00dfe|str\.|weg|platz|gasse|straat|gracht|laan|plein|gatan|vej|gade|veien|"
    r"katu|tie|utca|sokak|caddesi)\b|\b(?:ul|al|os)\."
)
_ADDRESS_CUE = re.compile(
    r"\b(?:address|adresse?|live[sd]? (?:at|in|on)|living at|reside[sd]? at|residing at|ship(?:ped|"
    r"ping)? to|"
    r"deliver(?:ed|y)? to|send[^.\n]{0,24} to|sent to|moved to|move to|relocated to|located at|"
    r"based at|old|new|from|house at|flat at|property at|premises at|office at|shop|post(?:ed)? to|"
    r"statement to|at|to)(?:[ ](?:is|was|should be|to))?[ ]?[:=]?\s{0,3}$"
)


def _is_chain(match: re.Match[str], scan: Scan) -> bool:
    """Whether parts in a row, separated by commas, are a postal address."""
    value = match["x"]
    if "Anytown" in value or sum(char.isdigit() for char in value) < 1 or len(value) < 12:
        return False
    before = scan.before(match.start("x"), 44)
    if re.search(r"\b(?:error|exit|version|windows|chrome|firefox|step|https?)\W*$", before):
        return False
    street = _STREET_WORD.search(value) is not None
    post = _POSTCODE.search(value) is not None or (street and _TOWN_CODE.search(value) is not None)
    cue = _ADDRESS_CUE.search(before) is not None
    numbered = (
        re.search(r"(?<![\w.:])\d{1,5}[A-Za-z]?(?:[/-]\d{1,4})?(?![\w%:.]\d)", value) is not None
    )
    if re.search(r"\d:\d|\d\.\d|[$\u20ac\u00a3]|(?:19|20)\d\d-\d\d", value):
        return False
    return (
        (post and (street or cue or numbered)) and (street or cue or value.count(",") >= 1)
    ) or (street and numbered and cue)


_STREET_WORDS = frozenset(re.findall(r"[a-z]{2,}", _STREET_WORD.pattern.lower()))
_STREET_ENDS = (
    "strase", "strasse", "str", "weg", "platz", "gasse", "straat", "gracht", "laan", "plein",
    "gatan", "vej", "gade", "veien", "katu", "tie", "utca", "sokak", "caddesi",
)  # fmt: skip


def _may_hold_address(scan: Scan) -> bool:
    """Whether a street's word or the form of a postcode is anywhere in the text."""
    if "post" in scan.features or not _STREET_WORDS.isdisjoint(scan.vocabulary):
        return True
    return any(word.endswith(_STREET_ENDS) for word in scan.vocabulary)


_STREET_CUES = word_set(
    "street st road rd avenue ave av boulevard blvd lane ln drive dr way court ct place pl square "
    "sq terrace close crescent cres parkway pkwy highway hwy quay row mews gardens grove hill walk "
    "alley circle cir trail wharf parade loop plaza pike"
)
_LOWER_STREETS = word_set(
    "street st road rd avenue ave lane ln boulevard blvd terrace close drive dr way court ct place "
    "square crescent gardens grove hill walk row mews rise park bank brow fold gate green croft "
    "quay wharf parade parkway highway"
)
_LIVES = re.compile(
    r"\b(?:address|live[sd]?|living|reside[sd]?|staying|located|based|we'?re|i'?m|we are|"
    r"ship(?:ped|ping)?|"
    r"deliver(?:ed|y|ies)?|sen[dt]|post(?:ed)?|moved?|moving|house|flat|property|premises|home|"
    r"parcel|courier|driver|from|to)\b[^.!?\n]{0,30}$"
)
_NO_STREET = (
    r"(?:the|down|issues|ways|more|on|of|for|days|items|and|in|our|major|this|that|an?|my|your|"
    r"hours|people|minutes|weeks|users|times|is|are|was|were|steps|other|new|old|different|per|"
    r"near|by|at|to|from|with|but|or|so)"
)
"""What no street is called: "12 elm street near the park" ends before these."""
_SURE_STREETS = word_set("street road avenue ave lane boulevard blvd terrace")


def _is_lower_address(match: re.Match[str], scan: Scan) -> bool:
    """Whether a number and words before a street's word are an address, from what is around."""
    if match["x"].startswith("123 main st"):
        return False  # where anybody lives
    # not a town alone: "the 2 dots turn green, then grey" has the form of one
    placed = match["unit"] is not None or match["post"] is not None
    sure = match["street"] in _SURE_STREETS
    return sure or placed or _LIVES.search(scan.before(match.start("x"), 50)) is not None


_ROMANCE_STREET_CUES = word_set(
    "rue avenue boulevard bd place quai allee chemin impasse calle c avenida av avda paseo plaza "
    "carrer rua travessa largo praca via viale piazza corso ulica ul jalan jl"
)
_GERMANIC_STREETS = (
    "strase",
    "strasse",
    "str.",
    "weg ",
    "platz ",
    "allee ",
    "gasse ",
    "ring ",
    "ufer ",
    "damm ",
    "straat ",
    "gracht ",
    "laan ",
    "plein ",
    "kade ",
    "singel ",
    "gatan ",
    "vagen ",
    "vej ",
    "gade ",
    "veien ",
    "katu ",
    "utca ",
    "am ",
    "an der ",
    "unter den ",
    "zum ",
)
ADDRESS = [
    Rule(
        "ADDRESS",
        _CHAIN,
        gate=(",", "\n", " - "),
        digits=1,
        maybe=_may_hold_address,
        accept=_is_chain,
        score=0.875,
    ),
    Rule(
        "ADDRESS",
        regex(
            r"(?<![\w.#\-/])(?P<x>\d{1,5}[A-Za-z]?(?:[-/]\d{1,4})?,?[ ](?:(?:North|South|East|"
            r"West|N|S|E|W|NE|NW|SE|SW)\.?[ ])?(?:(?:"
            + _TITLE
            + r"|\d{1,3}(?:st|nd|rd|th))[ ]){1,3}"
            + _STREET
            + r"\b\.?"
            + _UNIT
            + _TAIL
            + r")",
            flags=0,
        ),
        accept=_is_address,
        digits=1,
        cues=_STREET_CUES,
        score=0.88,
    ),
    Rule(
        "ADDRESS",
        # "kossuth lajos utca 12, 6720 szeged", "hauptstr. 5"
        regex(
            r"(?<![\w.\-/])(?P<x>(?:(?:(?!(?:in|at|is|to|on|the|from|near|and|by|of|for|it|my|"
            r"our)[ ])[a-z]{2,20}[ ]){1,3}(?:utca|ulica|katu|gatan|vagen|vej|gade|"
            r"veien|"
            r"straat|laan|weg|strase|strasse|sokak|caddesi)|[a-z\-]{3,24}(?:strase|strasse|str|"
            r"gasse|"
            r"platz|allee|straat|gracht|gatan|gata|vagen|vej|veien|katu|utca))\.?[ ]\d{1,4}[a-z]?"
            r"(?:/\d{1,4})?(?:,?[ ]\d{4,5}(?:[ ][a-z]{2})?[ ][a-z]{3,20})?)(?![\w]|[.:]\d)",
            flags=0,
        ),
        folded=True,
        digits=1,
        needs=frozenset({"street"}),
        accept=lambda match, scan: words().kind(match["x"].split()[0].rstrip(".")) & COMMON == 0,
        score=0.79,
    ),
    Rule(
        "ADDRESS",
        # where nobody uses capitals: "14 heather bank, ilkley", "22 elm st apt 4 tucson az 85701"
        regex(
            r"(?<![\w.,#\-/:])(?P<x>\d{1,5}[a-z]?,?[ ](?:(?!"
            + _NO_STREET
            + r"[ ])[a-z'\-]{2,20}[ ]){0,2}(?!"
            + _NO_STREET
            + r"[ ])[a-z'\-]{3,20}[ ](?P<street>"
            + "|".join(sorted(_LOWER_STREETS))
            + r")\b(?P<unit>,?[ ](?:apt|flat|unit|suite|floor)[ ]?(?:[a-z]?\d\w{0,4}|[a-z])\b)?"
            r"(?:,[ ]?[a-z'\-]{3,20}(?:[ ][a-z'\-]{3,20}){0,2}(?=[,.;!?)\n]|\Z)){0,3}"
            r"(?:,?[ ](?:[a-z]{3,20}[ ]){0,2}(?:[a-z]{2}[ ])?"
            r"(?P<post>[a-z]{1,2}\d[a-z\d]?[ ]?\d[a-z]{2}|\d{5}))?)(?![\w])",
            flags=0,
        ),
        folded=True,
        cues=_LOWER_STREETS,
        digits=1,
        accept=_is_lower_address,
        score=0.8,
    ),
    Rule(
        "ADDRESS",
        regex(
            r"(?<![\w])(?P<x>(?:"
            + _TITLE
            + r"[ -])?(?:[A-Z\u00c0-\u00de][\w\u00c0-\u024f\-]{2,30}(?:stra\u00dfe|strasse|str\.|"
            r"weg|platz|allee|gasse|ring|ufer|damm|"
            r"straat|gracht|laan|plein|kade|singel|gatan|v\u00e4gen|vej|gade|veien|katu|utca)|"
            r"(?:Am|An der|Unter den|Zum)[ ]" + _TITLE + r")"
            r"[ ]\d{1,4}[ ]?[a-zA-Z]?\b" + _TAIL + r")",
            flags=0,
        ),
        accept=lambda match, scan: not re.match(r"(?:Am|Zum) (?:Monday|Montag|\d)", match[0]),
        digits=1,
        gate=_GERMANIC_STREETS,
        score=0.87,
    ),
    Rule(
        "ADDRESS",
        regex(
            r"(?<![\w])(?P<x>(?:\d{1,4}(?:[ ]?(?:bis|ter|[A-Za-z]))?,?[ ])?(?:rue|Rue|avenue|"
            r"Avenue|boulevard|Boulevard|bd|place|quai|all\u00e9e|chemin|impasse|"
            r"Calle|calle|C/|Avenida|avenida|Av\.|Avda\.|Paseo|Plaza|Carrer|Rua|Travessa|Largo|"
            r"Pra\u00e7a|Via|via|Viale|Piazza|Corso|Ulica|ul\.|Jalan|Jl\.)[ ]"
            r"(?:(?:de|du|des|la|le|les|l'|d'|del|della|dei|da|do|dos|das|el|los|las|di|san|"
            + _TITLE
            + r")[ ']?){1,5}"
            r"(?:,?[ ]?(?:n\u00ba|no\.?|n\.)?[ ]?\d{1,5}[A-Za-z]?)?" + _TAIL + r")",
            flags=0,
        ),
        accept=lambda match, scan: (
            any(char.isdigit() for char in match["x"])
            and re.search(r"[A-Z]", match["x"][3:]) is not None
            and not re.match(
                r"(?:via|place) (?:API|CSV|Slack|GitHub|GraphQL|Zapier|Jira|REST|SCIM|SSO)",
                match["x"],
            )
        ),
        digits=1,
        cues=_ROMANCE_STREET_CUES,
        score=0.86,
    ),
    Rule(
        "ADDRESS",
        regex(
            r"\b(?P<x>p\.?[ ]?o\.?[ ]?box[ ]\d{1,7}(?:-\d{2,6})?(?:[ "
            r"](?-i:[A-Z])[a-z]{2,20})?(?:,[ ][\w .\-]{2,40}){0,3}|postfach[ ]\d[\d "
            r"]{1,8}|apartado[ ]\d{1,6})"
        ),
        gate=("box", "postfach", "apartado"),
        digits=True,
        score=0.86,
    ),
    Rule(
        "ADDRESS",
        regex(
            r"(?<![\w\-/])(?P<x>(?:GIR[ ]0AA|[A-Z]{1,2}\d[A-Z\d]?[ ]\d[ABD-HJLNP-UW-Z]{2}|"
            r"[ABCEGHJ-NPRSTVXY]\d[A-Z][ ]\d[A-Z]\d))(?![\w\-])",
            flags=0,
        ),
        digits=True,
        needs=frozenset({"postcode"}),
        score=0.8,
    ),
    Rule(
        "ADDRESS",
        regex(
            r"(?<![\w])(?P<x>(?:"
            + _TITLE
            + r"(?:[ ]"
            + _TITLE
            + r"){0,2},[ ])(?:AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|"
            r"MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|"
            r"NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|NSW|VIC|QLD|WA|SA|TAS|ACT|"
            r"NT|ON|QC|BC|AB)[ ]\d{4,5}(?:-\d{4})?)(?![\w])",
            flags=0,
        ),
        digits=4,
        needs=frozenset({"four"}),
        score=0.85,
    ),
    Rule(
        "ADDRESS",
        regex(
            r"\b(?:zip(?: ?code)?|post(?:al)? ?code|plz|cap|eircode)(?:[ ]is|[ ]?[:=])?[ "
            r"](?P<x>(?=[\w -]{0,9}\d)[a-z0-9]{3,5}(?:[ -][a-z0-9]{3,4})?)\b"
        ),
        gate=("zip", "post", "plz", "eircode"),
        digits=True,
        accept=lambda match, scan: "file" not in scan.after(match.end("x"), 8),
        score=0.8,
    ),
    Rule(
        "ADDRESS",
        regex(
            r"\b(?:(?:billing|shipping|delivery|postal|mailing|office|home|street|company|"
            r"registered|our|my|new|the)[ ]){1,3}(?:postal |mailing |office |billing )?address"
            r"(?:[ ]on[ ](?:it|file|the invoice|invoices?))?(?:[ ](?:is|was|has changed to|"
            r"changed to|should be|should read|to)|[ ]?:)[ ]?\n?"
            r"(?P<x>(?=[^\n]{0,60}\d)[^\n@]{8,120}?)(?=[.!?]?(?:\s*$|[ ](?:and|but|please|can|"
            r"could|thanks)\b)|\.[ ][A-Z])"
        ),
        gate=("address",),
        digits=True,
        accept=lambda match, scan: (
            re.search(r"[a-z]{3}", match["x"].lower()) is not None
            and re.search(
                r"\d{1,3}\.\d{1,3}\.\d{1,3}|@|://|\berror\b|TL-\d|\bworkspace\b", match["x"]
            )
            is None
        ),
        score=0.75,
    ),
    Rule(
        "ADDRESS",
        regex(
            r"(?<![\w])(?P<x>\d{1,2}-\d{1,2}-\d{1,3},?[ ]"
            + _TITLE
            + r"(?:[ ,-]{1,2}"
            + _TITLE
            + r"){0,4}(?:,?[ ]\u3012?\d{3}-\d{4})?|\u3012[ ]?\d{3}-\d{4})",
            flags=0,
        ),
        accept=lambda match, scan: (
            re.match(
                r"\d{1,2}-\d{1,2}-\d{1,3},? (?:At|On|The|We|I|My|Since|And|Monday|Tuesday|"
                r"Wednesday|Thursday|Friday)\b",
                match["x"],
            )
            is None
            and re.search(r"[A-Z][a-z]+-(?:ku|shi|cho|dori)|,|\u3012", match["x"]) is not None
        ),
        digits=4,
        needs=frozenset({"date"}),
        score=0.8,
    ),
    Rule(
        "LOCATION",
        regex(r"(?<![\w.\-])(?P<x>-?\d{1,2}\.\d{4,8},[ ]?-?\d{1,3}\.\d{4,8})(?![\w.])"),
        digits=8,
        needs=frozenset({"degrees"}),
        score=0.8,
    ),
]
