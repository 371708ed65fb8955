"""Persons' names that context gives away.

What lives here: how the words of a message are read as names: by the lists of names, by the words
around them (greeting, title, "my colleague X", "X told me"), by a capital where vocabulary has
none, and by the places where people sign. What does not: names known beforehand
(:mod:`supportbot_dagster.tickets.known`), companies (:mod:`supportbot_dagster.tickets.companies`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

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

Span = tuple[int, int]

NOT_NAMES = word_set(
    "team support all everyone everybody folks guys there again sir madam admin friends people "
    "someone somebody anyone you me us him her them it this that both the a an my our your bonjour "
    "groetjes mahalo cheers merci respectfully faithfully sincerely gruezi salaam grazie bye bless "
    "sirs truly cordially ciao thanks hello hey hi dear servus namaste aloha danke gracias "
    "obrigado obrigada yours yrs asante shukran arigato kiitos takk tack tak dziekuje dekuji "
    "regards wishes greetings gruse grus grusen hugs por para pelo pela pour fur voor per sent "
    "best kind warm rgds mfg mvh lg vg kr br tia ty thx ta hilsen saludos cumprimentos i we he she "
    "they is are was who what when where why how please not no yes ok okay sorry billing sales "
    "world help helpdesk customer customers service care crew gang good morning afternoon evening "
    "desk colleagues admins staff security accounts engineering development product success tech "
    "ladies gentlemen user users humans human robot bot agent agents operator ji sahib to in on at "
    "for mi me my je ich io yo eu jag jeg moin pozdrawiam pozdrav pozdravy pozdravem terveisin "
    "hilsen saygilarimla selamlar atentamente atenciosamente saludo abracos tervitades "
    "lugupidamisega "
    "zdravo sel halo bok viszlat udvozlettel tisztelettel pagarbiai sveiciens"
)
"""Words that stand where names stand and are none."""

_GREETINGS = word_set(
    "hi hello hey hiya heya hullo dear morning afternoon evening hallo hola bonjour ciao moin "
    "greetings salut aloha gruezi namaste servus salaam salam shalom hoi hei hej buongiorno tarde "
    "ola oi merhaba selam sael g'day ora howdy yo liebe lieber cher chere caro cara estimado "
    "estimada geehrte geehrter beste gentile querido querida ahoj czesc privet jambo habari "
    "sawubona konnichiwa bonsoir buonasera tag dia day gott"
)
_GREETING_HEADS = word_set("good kia boa bom guten gute buenos buenas grus gruss and oh so ok well")
TITLES = word_set(
    "mr mrs ms mx miss messrs mister dr prof professor herr frau hr fr sr sra srta senor senora "
    "mme mlle monsieur madame maitre avv lic ing dott dra don dona dhr mevr mevrouw meneer pan "
    "pani fru sheikh shri smt captain judge father sister rev reverend cllr sgt officer messrs "
    "pastor bishop imam rabbi deacon vicar canon chaplain lt lieutenant colonel col major maj "
    "corporal cpl constable detective inspector sheriff senator mayor ambassador dean headmaster "
    "cantor pak bapak ibu cik encik puan tuan ustad um umm abu auntie uncle aunty nurse coach"
)
_TITLES_WITH_DOT = word_set(
    "hr fr sr ing lic don dona pan ibu um father sister officer coach nurse"
)
_FAMILY = word_set(
    "mum mom mother dad father son daughter brother sister wife husband spouse partner fiance "
    "fiancee aunt auntie uncle cousin niece nephew grandma grandpa grandmother grandfather nan "
    "granny girlfriend boyfriend ex twin child baby kid neighbour neighbor friend mate roommate "
    "flatmate landlord landlady"
)
_ROLES = _FAMILY | word_set(
    "colleague colleagues coworker coworkers co-worker co-workers teammate teammates boss bosses "
    "manager supervisor cto ceo coo cfo vp director assistant intern contractor freelancer "
    "accountant bookkeeper co-founder cofounder founder predecessor successor hire starter joiner "
    "secretary consultant designer developer engineer lawyer solicitor auditor owner admin "
    "administrator lead pm analyst architect tester sysadmin dev volunteer student pupil teacher "
    "trainee temp agent rep adviser guy girl lady man woman person people fella bloke chap "
    "gentleman employee parent patient tenant driver guest client customer payee recipient "
    "beneficiary holder cardholder member user someone somebody nurse doctor therapist vet tutor "
    "coach trainer principal headmaster treasurer chair chairman trustee counsel notary adviser "
    "advisor broker cleaner gardener plumber electrician nanny instructor candidate applicant cust "
    "custmr emp mgr worker workers staff teammember technician receptionist cashier seller buyer "
    "sender account-manager kids children sons daughters brothers sisters parents friends"
)
_SOFT = word_set(
    "joy hope faith grace rose lily daisy ruby amber ivy hazel poppy violet jack frank rob robin "
    "iris olive holly heather dawn eve sandy penny pearl jade jay april june rosemary jasmine bill "
    "art pat guy ray dean tad bella max sam sage angel sunny candy ginger mercy clement"
)
_ADDRESSED = word_set(
    "ask asked asking told tell telling invite invited inviting email emailed e-mailed contacted "
    "phoned rang texted messaged met meet hired ping pinged thank thanks thx cheers cc cc'd cced "
    "cc'ing bcc looping copying copied promoted fired replaced onboarded offboarded reminded "
    "informed attn fao signed per via payee helped i'm im i'am"
)
_BEFORE = (
    _ADDRESSED
    | _ROLES
    | word_set(
        "with by to from for of than not and or as under during about is was were because but when "
        "since that if until only let made gave at add added adding remove removed removing "
        "replace assign assigned it's its he's she's name spoke speak talk talked talking heard "
        "chatted dealt before after while says said so then where did does has had can will would "
        "could should or nor & both either neither mine"
    )
)
_SAYS = word_set(
    "said says told asked asks wrote writes left replied quit joined promised insists thinks "
    "thought took takes handed retired resigned forgot swears works worked rang phoned emailed "
    "mentioned noticed wants wanted handles handled manages managed reckons claims claimed "
    "complained remembers showed explained requested confirmed answered signed cant couldn't can't "
    "hasn't hadn't doesn't didn't isn't wasn't texted died passed moved paid called agreed "
    "approved started tried tries lost gave knows who reported kindly helped "
)
_CAN_SAY = word_set(
    "and & is was has had can will does did gets got keeps needs would should could cannot never "
    "always still also just already (our from at in"
)
_PRODUCT = word_set(
    "theme themes voice voices plan plans font fonts layout layouts template templates mode modes "
    "metrics demo sandbox skin skill edition editions release tier tiers widget integration plugin "
    "plugins app apps bot assistant persona personas browser server engine model api sdk cli icon "
    "wallpaper preset presets palette colour color variant variants collection dashboard report "
    "environment sample dummy example test train version bundle segment cluster project feature "
    "tool service package library course lesson level campaign avatar character chatbot ai button "
    "tab menu screen page field column row label tag board card list view filter dialog holiday "
    "day law rule effect method scale chart diagram principle metric build branch codename "
    "codenamed import export workflow node robot speaker device hub ranking algorithm distance "
    "curve "
    "coefficient equation transform case casing tags charts scripts script syntax notation library "
    "libraries language runtime connector"
)
_NAMED = word_set(
    "team teams squad squads tribe guild channel project projects initiative epic sprint milestone "
    "repo repository table folder press pressing pressed hit hitting hold holding"
)
"""What has a name that is nobody's, and what is done to keys: "our team Depo", "press Esc"."""
_BEFORE_THINGS = word_set(
    "in near into using use via outside click clicking clicked choose chose select selected toggle "
    "open opened opens"
)
"""Words before places, tools and buttons."""
_LABEL = re.compile(r"\.:? ?[+(]?\d|:? [+(]?\d|: ?[+(]?\d|\.? ?[#\u2116]")
"""A number after a word: the word says what the number is ("Kundennr. 4471", "Tel. +49")."""
_VERSION_NEXT = re.compile(r" [vV]?\d{1,4}(?:\.\d{1,5})+(?![\w/-])")
_TO_SOMEBODY = word_set(
    "call calls calling called ring phone text message contact notify dear hire see sees saw visit "
    "help helps helping show bring send sent give given pay paid meet love miss both either except "
    "sub colleague trainer reach reached cover covering whom who's spare excuse"
)
"""Words that are rather followed by a person than by a thing."""
_TEAM_AFTER = re.compile(r" (?:support |help ?desk |customer |sales |dev )?(?:team|support|crew)\b")
_MONTHS = word_set("january april may june july august march mai mar jan juni juli avril")
_RECORDED = word_set(
    "patient tenant pupil student insured claimant policyholder payee passenger resident deceased "
    "beneficiary applicant"
)
_AFTER_FAMILY = re.compile(
    r"[.,!?;)]|$| (?:at|and|are|were|have|had|moved|live|lived|in|from|next|who|want|left|of|"
    r"will)\b",
    re.MULTILINE,
)
_QUOTATION = re.compile(r'(?<!\w)"[^"\n]{1,80}"(?!\w)')
_SPEAKER = re.compile(
    r"\b(?:bot|chatbot|assistant|alexa|siri|narrator|voice|robot)\b[^\"\n]{0,24}$"
)
_WORD_AFTER = re.compile(r" ([a-z][a-z\-]+)")
_AFTER_QUOTE = word_set(
    "is was are were has had have and but or not instead with to from as on in at by for of which "
    "who when while if because since so that than then again now still it he she they i we you "
    "does did will can could should would left says said wrote called named although though or "
    "here there appears shows showed shown comes came gets got keeps"
)
_TITLE_CASE = re.compile(
    r"(?:[A-Z\u00c0-\u00de][\w'\-]*|the|of|and|for|a|in|on|to|de|la|der|die|das)(?:[ :]{1,2}"
    r"(?:[A-Z\u00c0-\u00de][\w'\-]*|the|of|and|for|a|in|on|to|de|la|der|die|das))+"
)
_GOES_ON = word_set(
    "on at in about who yesterday today last this for or said but that to is has was before after "
    "when because over via by earlier again first and"
)
_NOT_AFTER = word_set("the a an this these those your any each no every some another")
GENITIVE_THINGS = word_set("day law birthday rule eve week laws principle theorem number razor")
_BEFORE_SURNAMES = word_set("o ni mac mc de van von di da del bin ibn ap ter ten den ui nic ua")
_JOB = (
    r"(?:manager|owner|director|admin|administrator|accountant|bookkeeper|engineer|developer|"
    r"designer|"
    r"assistant|founder|co-founder|treasurer|secretary|ceo|cto|cfo|coo|head of|head teacher|"
    r"headteacher|"
    r"teacher|nurse|partner|lead|supervisor|coordinator|controller|analyst|consultant|chef|"
    r"proprietor|"
    r"practice manager|office manager|hr|payroll|billing|support|customer care|sales|marketing|it)"
)
_APPOSED = re.compile(
    r"(?:, | \(|, (?:our|the|my|your) | - |, who )(?:[a-z]+ ){0,2}"
    + _JOB
    + r"(?:[.,)!\n]|$| at | of | for | here)"
)
_NOBODY = frozenset(
    {"jane doe", "john doe", "jane smith", "john smith", "joe bloggs", "max mustermann",
     "jean dupont", "erika mustermann", "mario rossi", "juan perez", "jane roe", "john q. public",
     "foo bar"}
)  # fmt: skip
"""Names that docs use for anybody."""
_SUFFIXES = frozenset({"jr", "sr", "ii", "iii", "iv"})
_SINGLE = re.compile(r"(?:Mc|Mac|O'|D'|N'|L'|De|Di|Da|Du|Le|La|El|Al|Van|Von|Fitz|St)[A-Z][a-z]")


def looks_like_name(token: Token) -> bool:
    """Whether a capitalised word has the form of a name: one capital, unless it is MacGregor."""
    text = token.text
    tail = text[1:]
    if tail.islower():
        return True
    if "-" in text or "'" in text:
        parts = [part for part in re.split(r"[-']", text) if part]
        return all(
            part[0].isupper() and (part[1:].islower() or len(part) == 1) for part in parts
        ) or (
            "-" in text
            and parts[0][0].isupper()
            and parts[-1][0].isupper()
            and tail.lower() == tail
        )
    return _SINGLE.match(text) is not None


def _unknown(token: Token) -> bool:
    return not token.kind or (token.kind == SURNAME)


class Reader:
    """Reads the names of one text; see :func:`persons`."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.text = scan.text
        self.tokens = scan.tokens
        self.own = scan.vendor.words
        capitals = [t for t in self.tokens if t.cap and len(t.text) > 1]
        # in a shouted message capitals say nothing
        self.shouted = len(capitals) >= 8 and len(capitals) > 0.8 * len(self.tokens)
        self._products: frozenset[str] | None = None

    # --- words -------------------------------------------------------------------------------

    def _prev(self, index: int, gap: str = " ") -> str:
        """The folded word before, if nothing but ``gap`` stands between."""
        if index and self.tokens[index].gap == gap:
            return self.tokens[index - 1].low
        return ""

    def _next(self, index: int) -> str:
        if index + 1 < len(self.tokens) and self.tokens[index + 1].gap in {" ", "'s "}:
            return self.tokens[index + 1].low
        return ""

    def _says(self, index: int) -> bool:
        """Whether somebody does something after the word: "X started", not "X started by Y"."""
        if self._next(index) not in _SAYS:
            return False
        return not (index + 2 < len(self.tokens) and self.tokens[index + 2].low == "by")

    def _genitive(self, index: int) -> bool:
        return self.text.startswith("'s", self.tokens[index].end)

    def products(self) -> frozenset[str]:
        """Names that the message gives to a theme, a plan, a bot: nobody's."""
        if self._products is None:
            found: set[str] = set()
            for index, token in enumerate(self.tokens):
                named = (token.cap and token.kind & (GIVEN | SURNAME | THING)) or not token.kind
                if named and self._product_at(index):
                    found.add(token.low)
            self._products = frozenset(found)
        return self._products

    def know_products(self, names: frozenset[str]) -> None:
        """Take names over that other texts of the conversation give to things."""
        self._products = self.products() | names

    def _product_at(self, index: int) -> bool:
        tokens = self.tokens
        token = tokens[index]
        quoted = token.gap.endswith('"') and self.text[token.end : token.end + 1] in {'"', " ", ","}
        if index + 1 < len(tokens):
            after = tokens[index + 1]
            if (
                after.low in _PRODUCT
                and after.gap in {" ", '" ', "'s "}
                and not self._genitive(index)
            ):
                return True
            if (
                quoted
                and after.gap.startswith('" ')
                and any(t.low in _PRODUCT for t in tokens[index + 1 : index + 4])
            ):
                return True
            if self._genitive(index) and after.low in GENITIVE_THINGS:
                return True
        if _VERSION_NEXT.match(self.text, token.end):
            return True  # "Julia 1.10.3"
        if index:
            before = tokens[index - 1]
            if before.low in _PRODUCT - {
                "called",
                "customer",
                "report",
                "card",
                "list",
                "server",
            } and (
                token.gap in {' "', ": "} or (token.gap == " " and (not before.cap or before.first))
            ):
                return True
            if token.gap == " " and before.low in _NAMED and not token.kind & GIVEN:
                return True
            if (
                quoted
                and token.gap == ' "'
                and any(t.low in _PRODUCT - {"called"} for t in tokens[max(0, index - 2) : index])
            ):
                return True
            if (
                before.low == "ask"
                and before.cap
                and (not before.first or before.gap.endswith('"'))
            ):
                return True
        return False

    # --- names -------------------------------------------------------------------------------

    def reach(self, index: int, *, strong: bool) -> tuple[int, int]:
        """Where the name ends whose first word is ``index``: the word after it, and the place."""
        tokens, text = self.tokens, self.text
        lower = tokens[index].text.islower()
        end = tokens[index].end
        at = index + 1
        if len(tokens[index].text) == 1 and text[end : end + 1] == ".":
            end += 1
        while at < len(tokens) and at - index < 5:
            token = tokens[at]
            gap = token.gap
            if (
                gap == ' "'
                and token.cap
                and text[token.end : token.end + 2] == '" '
                and (at + 1 < len(tokens) and tokens[at + 1].cap and not lower)
            ):
                # Seun in: Oluwaseun "Seun" Adeyemi
                at += 1
                end = tokens[at].end
                at += 1
                continue
            before = tokens[at - 1]
            if (
                gap not in {" ", "/"}
                and not (
                    gap in {". ", "."} and (len(before.text) == 1 or before.low in {"st", "jr"})
                )
                and not (gap == ".-" and len(before.text) == 1)
            ):
                break
            if gap == "/" and not (before.text.isupper() and token.text.isupper()):
                break
            if gap == " " and self._genitive(at - 1):
                break
            low = token.low
            if token.code and gap != "/":
                break
            if token.cap:
                if low in _SUFFIXES or re.fullmatch(r"[A-Z](?:-[A-Z])+", token.text):
                    pass
                elif len(token.text) == 1:
                    nxt = text[token.end : token.end + 1]
                    if nxt == " " and self._next(at) in _SAYS:
                        nxt = ","
                    if nxt not in {".", "", "\n", ",", " ", ")", "?", "!", '"', ":"} or (
                        nxt == " " and (low in {"i", "a"} or not self._cap_at(at + 1))
                    ):
                        break
                elif not self._goes_on(at, strong=strong, shouted=tokens[index].text.isupper()):
                    break
                end = token.end + (
                    text[token.end : token.end + 1] == "."
                    and (low in _SUFFIXES or (len(token.text) == 1 and low != "i"))
                )
                at += 1
            elif low in PARTICLES or low in {"ap", "ferch", "der", "den", "bint", "ul", "ur"}:
                step = 2 if at + 1 < len(tokens) and tokens[at + 1].low in PARTICLES else 1
                if at + step >= len(tokens) or tokens[at + step].gap not in {" ", "-"}:
                    break
                follow = tokens[at + step]
                if not (follow.cap or (lower and _unknown(follow) and len(follow.low) > 3)):
                    break
                if not self._goes_on(at + step, strong=True):
                    break
                at += step + 1
                end = follow.end
            elif (
                "-" in low
                and low.split("-")[0] in PARTICLES
                and token.text.split("-")[-1][:1].isupper()
            ):
                at += 1
                end = token.end
            elif (
                lower
                and at == index + 1
                and len(low) == 1
                and (
                    text[token.end : token.end + 2].strip(". \n") == ""
                    or (low not in "aeioux" and text[token.end : token.end + 1] in " ,)?!")
                )
            ):
                # tyrone b.
                at += 1
                end = token.end + (text[token.end : token.end + 1] == ".")
            elif lower and at == index + 1 and not token.kind & (COMMON | THING) and len(low) > 3:
                # kieran mcgarrigle
                at += 1
                end = token.end
            elif (
                lower
                and strong
                and at == index + 1
                and len(low) > 3
                and token.kind & SURNAME
                and (text[token.end : token.end + 1] in {"", ".", ",", "\n"})
            ):
                at += 1
                end = token.end
            else:
                break
        return at, end

    def _cap_at(self, index: int) -> bool:
        return index < len(self.tokens) and self.tokens[index].cap and self.tokens[index].gap == " "

    def _goes_on(self, index: int, *, strong: bool, shouted: bool = False) -> bool:
        """Whether a capitalised word goes on with the name before it."""
        token = self.tokens[index]
        kind = token.kind
        if token.low in NOT_NAMES or token.low in self.own:
            return False
        if token.text.isupper() and len(token.text) > 1 and not shouted:
            return False
        if not shouted and not looks_like_name(token):
            return False
        if kind & THING and not kind & (SURNAME | GIVEN):
            return False
        if not kind & COMMON or kind & SURNAME or (kind & GIVEN and not kind & THING):
            return True
        if "-" in token.text and looks_like_name(token):
            return True
        # Bart Quick: an ordinary word that ends the line or the clause
        return strong and self.text[token.end : token.end + 1] in {"", "\n", ",", ")", '"', "|"}

    def judge(self, index: int) -> tuple[int, int, int] | None:
        """The name whose first word is ``index``: first place, end, number of the word after it."""
        found = self._judge(index)
        if found is not None and found[1] > found[0] and self._names_quoted_thing(index, found[1]):
            return found[0], found[0], found[2]
        return found

    @cached_property
    def _quotes(self) -> list[tuple[int, int]]:
        """Where quotations begin and end, without their marks."""
        if '"' not in self.text:
            return []
        return [(m.start() + 1, m.end() - 1) for m in _QUOTATION.finditer(self.text)]

    def _names_quoted_thing(self, index: int, end: int) -> bool:
        """Whether a name in quotation marks is that of a thing: the "Julia" notebook."""
        start = self.tokens[index].start
        quote = next((q for q in self._quotes if q[0] <= start and end <= q[1]), None)
        if quote is None:
            return False
        low, high = quote
        before = self.scan.before(low - 1, 40)
        if _SPEAKER.search(before):
            return True
        whole = start == low and self.text[end:high].strip(".,!") == ""
        if whole:
            after = _WORD_AFTER.match(self.text, high + 1)
            if self._asserted(index):
                return False
            if after is not None and after[1] not in _AFTER_QUOTE:
                return True
            return " " not in self.text[start:end]
        inside = self.text[low:high]
        parts = re.findall(r"[^\W\d_][\w'\-]*", inside)
        if len(parts) > 5 or not _TITLE_CASE.fullmatch(inside):
            return False
        others = [fold(part) for part in parts if not start <= low + inside.find(part) < end]
        return bool(others) and not any(o in TITLES or o in _GREETINGS for o in others)

    def _judge(self, index: int) -> tuple[int, int, int] | None:
        token = self.tokens[index]
        low, kind = token.low, token.kind
        if token.code or low in self.own:
            return None
        if low in _MONTHS and any(map(str.isdigit, token.gap)):
            return None  # 1 May
        kept = self._on_record(index) or self._family(index)
        if kept is not None:
            return kept
        place = self._place(index)
        if not token.cap:
            return self._judge_lower(index, place)
        if len(token.text) == 1 and not (low in _BEFORE_SURNAMES and self._cap_at(index + 1)):
            return self._judge_initial(index, place)
        if low in NOT_NAMES and not (place == 3 and kind & GIVEN):
            return None
        if low in {"um", "umm", "abu"} and self._cap_at(index + 1):
            at, end = self.reach(index + 1, strong=True)
            return token.start, end, at
        if low in TITLES and not kind & GIVEN:
            return None
        if not kind & GIVEN and _TEAM_AFTER.match(self.scan.lower, token.end):
            return None  # "Hello Mailwell team"
        if low in _GREETINGS and not kind & (GIVEN | SURNAME):
            return None
        step = 1
        while (
            low in _BEFORE_SURNAMES
            and step < 3
            and index + step + 1 < len(self.tokens)
            and self.tokens[index + step].text in {"der", "den", "de", "la", "het", "ter"}
        ):
            step += 1
        if step > 1 and self._cap_at(index + step):
            at, end = self.reach(index + step, strong=True)
            return token.start, end, at
        if (
            low in _BEFORE_SURNAMES
            and self._cap_at(index + 1)
            and (place >= 2 or (not token.text.isupper() or len(low) == 1))
        ):
            follow = self.tokens[index + 1]
            if looks_like_name(follow) and (place >= 2 or not follow.kind & (COMMON | THING)):
                at, end = self.reach(index + 1, strong=True)
                return token.start, end, at
        upper = token.text.isupper() and len(token.text) > 1
        strong = place == 3
        at, end = self.reach(index, strong=strong)
        full = at - index >= 2
        if full and self.scan.speaks_of_docs and self.text[token.start : end].lower() in _NOBODY:
            return token.start, token.start, at  # nobody: passed over as a whole
        if strong:
            if upper and not (full or kind & GIVEN or (len(low) > 4 and not kind & COMMON)):
                return None
            if not upper and not looks_like_name(token):
                return None
            if kind & THING and not full and not (kind & GIVEN and token.gap in {", ", ". ", ": "}):
                greeted = index and self.tokens[index - 1].low in _GREETINGS | TITLES
                if not (greeted and kind & (GIVEN | SURNAME)):
                    return None  # "I'm German"
            if kind & THING and not kind & (GIVEN | SURNAME):
                return None
            if (
                kind & COMMON
                and not kind & (GIVEN | SURNAME)
                and (
                    not (self._closed(end) and token.gap in {" ", ", ", ". "})
                    if not full
                    else all(
                        t.kind & COMMON and not t.kind & (GIVEN | SURNAME)
                        for t in self.tokens[index + 1 : at]
                        if len(t.text) > 1
                    )
                )
            ):
                return None
            return token.start, end, at
        if upper:
            if self.shouted and not full:
                return None
            sure = kind & GIVEN and not kind & (COMMON | THING) and len(low) > 3
            if not sure and not ("-" in low and full and _unknown(token)):
                return None
            return token.start, end, at
        if not looks_like_name(token):
            return None
        product = self._product_at(index)
        following = self.tokens[index + 1 : at]
        surname = any(
            t.cap and len(t.text) > 1 and (_unknown(t) or t.kind & SURNAME) for t in following
        ) or any(len(t.text) == 1 for t in following)
        likely = place == 2
        said = self._says(index) or self._says(at - 1)
        if (
            at + 1 < len(self.tokens)
            and self.tokens[at].low in {"and", "&"}
            and (self.tokens[at].gap == " " and self.tokens[at + 1].low in {"i", "me", "myself"})
        ):
            said = True
        if not said and _APPOSED.match(self.scan.lower, end):
            likely = True
        sure = bool(kind & GIVEN) and not kind & (COMMON | THING)
        if kind & GIVEN and surname and not (product and kind & THING):
            return token.start, end, at
        if product and not full:
            return None
        if sure or (kind & SURNAME and not kind & (COMMON | THING | GIVEN) and len(low) > 2):
            if likely or said or full:
                return token.start, end, at
            if low in self.products() or (self.products() and self._names_product()):
                return None
            if self._quoted(index) and not self._asserted(index):
                return None
            if not kind & GIVEN and token.first and self._prev(index, "") == "":
                # a surname that begins a sentence: "Holt" may be anything
                return (
                    (token.start, end, at)
                    if said
                    or self._genitive(index)
                    or self._before_given(at)
                    or self._next(index) in _CAN_SAY
                    else None
                )
            return token.start, end, at
        if kind & GIVEN:
            strong_said = (said and not token.first) or self._says(index)
            if likely and not self._quoted(index):
                return token.start, end, at
            if strong_said and not self._genitive(index) and not self._title_case(index):
                return token.start, end, at
            return None
        if kind & COMMON and kind & SURNAME and likely and full:
            return token.start, end, at
        if kind & (COMMON | THING):
            return None
        return self._judge_unknown(index, at, end, likely=likely, said=said)

    def _on_record(self, index: int) -> tuple[int, int, int] | None:
        """Two capitals after a word for somebody on record: "Patient Teddy Marsh"."""
        tokens = self.tokens
        token = tokens[index]
        if not index or index + 1 >= len(tokens) or token.gap not in {" ", ": "}:
            return None
        before, after = tokens[index - 1], tokens[index + 1]
        if before.low not in _RECORDED or not (token.cap and after.cap and after.gap == " "):
            return None
        if not (looks_like_name(token) and looks_like_name(after)) or self._cap_at(index + 2):
            return None
        if {token.low, after.low} & (_PRODUCT | NOT_NAMES | _RECORDED):
            return None
        return token.start, after.end, index + 2

    def _family(self, index: int) -> tuple[int, int, int] | None:
        """A family in the plural: "the Petrovics at number 3"."""
        token = self.tokens[index]
        if (
            not token.cap
            or token.low[-1] != "s"
            or token.kind & (COMMON | THING)
            or self._prev(index) != "the"
            or not looks_like_name(token)
            or self._quoted(index)
            or len(token.low) < 5
        ):
            return None
        stem = words().kind(token.low[:-1])
        if stem & (COMMON | THING) or _AFTER_FAMILY.match(self.text, token.end) is None:
            return None
        return token.start, token.end, index + 1

    def _judge_unknown(
        self, index: int, at: int, end: int, *, likely: bool, said: bool
    ) -> tuple[int, int, int] | None:
        """A capitalised word that is in no list."""
        token = self.tokens[index]
        if len(token.text) < 3 or not self._english(index) or _LABEL.match(self.text, end):
            return None
        if "-" in token.low and any(len(part) < 2 for part in token.low.split("-")):
            return None  # X-Account-Id
        previous = self.tokens[index - 1].low if index and token.gap == " " else ""
        following = self.tokens[index + 1 : at]
        named = [t for t in following if t.kind & (SURNAME | GIVEN) and not t.kind & COMMON]
        if token.first:
            pair = (
                len(following) >= 1
                and token.gap.endswith('"')
                and all(
                    t.cap and len(t.text) > 2 and not t.kind & (COMMON | THING) for t in following
                )
            )
            if said or named or pair or (likely and at - index > 1) or self._comes_from(at):
                return token.start, end, at
            return None
        if token.low in self.products() or self._product_at(index):
            return None
        pair = len(following) >= 1 and all(
            t.cap and len(t.text) > 2 and not t.kind & (COMMON | THING) for t in following
        )
        if self._quoted(index) and not self._asserted(index) and not pair:
            return None
        if previous in _NOT_AFTER or previous in _BEFORE_THINGS:
            return None
        before_it = self.tokens[index - 1]
        tail = previous and before_it.cap and not before_it.first
        if tail and before_it.kind & (COMMON | THING) and not said and not named:
            # the tail of a name of something: Settings Foobar
            return None
        if not (
            likely
            or said
            or named
            or pair
            or not previous
            or previous in _BEFORE
            or previous in _TO_SOMEBODY
            or self._genitive(at - 1)
        ):
            return None  # "the dropdown lists Macedonia"
        if not (likely or named or pair) and self._next(at - 1) in {"the", "a", "an"} and not said:
            return None  # "with Wayland the ghost is offset"
        return token.start, end, at

    def _comes_from(self, at: int) -> bool:
        """Whether "from X" follows, where X is a name of something: "Aino here from Kahvila"."""
        for index in range(at, min(at + 3, len(self.tokens) - 1)):
            token = self.tokens[index]
            if token.gap not in {" ", ", "} or token.cap:
                return False
            if token.low in {"from", "at"}:
                return self._cap_at(index + 1) and not self.tokens[index + 1].kind & THING
        return False

    def _english(self, index: int) -> bool:
        """Whether the lower-case words around are vocabulary; a German noun is no name."""
        near = self.tokens[max(0, index - 8) : index + 9]
        lower = [t for t in near if not t.cap and not t.code and len(t.low) > 2]
        known = sum(1 for t in lower if t.kind)
        return known >= 0.7 * len(lower)

    def _names_product(self) -> bool:
        return any(
            words().kinds.get(low, 0) & (GIVEN | COMMON | THING) == GIVEN for low in self.products()
        )

    def _quoted(self, index: int) -> bool:
        token = self.tokens[index]
        return token.gap.endswith('"') or self.text[token.end : token.end + 1] == '"'

    def _asserted(self, index: int) -> bool:
        """Whether the words before a quotation say that it is a name."""
        before = [t.low for t in self.tokens[max(0, index - 4) : index]]
        return any(
            low in {"signed", "calling", "named", "name", "says", "reads", "called", "i'm", "am",
                    "into", "corrected", "read", "as", "turns", "shows", "review"}
            for low in before
        )  # fmt: skip

    def _title_case(self, index: int) -> bool:
        after = self.tokens[index + 1] if index + 1 < len(self.tokens) else None
        return after is not None and after.cap and after.gap == " "

    def _before_given(self, at: int) -> bool:
        """Whether a given name follows after a comma: "O'Shea, Maeve"."""
        return (
            at < len(self.tokens)
            and self.tokens[at].gap == ", "
            and self.tokens[at].cap
            and bool(self.tokens[at].kind & GIVEN)
        )

    def _closed(self, end: int) -> bool:
        return (
            re.match(
                r"\s*(?:[,.!:;()\n]|$|-|and\b|&|'s\b|x\b|here\b|from\b|speaking\b)",
                self.text[end : end + 12],
            )
            is not None
        )

    def _judge_initial(self, index: int, place: int) -> tuple[int, int, int] | None:
        token = self.tokens[index]
        if self.text[token.end : token.end + 1] != "." or token.gap.endswith(("/", "-", "\\")):
            return None
        at = index + 1
        while (
            at < len(self.tokens)
            and at - index < 4
            and len(self.tokens[at].text) == 1
            and self.tokens[at].cap
            and (self.tokens[at].gap in {". ", ".", ".-"})
        ):
            at += 1
        if at >= len(self.tokens) or self.tokens[at].gap not in {". ", "."}:
            return None
        name = self.tokens[at]
        upper = name.text.isupper() and len(name.text) > 3
        fine = name.cap and (looks_like_name(name) or upper) and name.low not in NOT_NAMES
        if not fine or (name.kind & (COMMON | THING) and not name.kind & SURNAME and place < 3):
            return None
        if name.kind & COMMON and token.low == "i":
            return None
        nxt, end = self.reach(at, strong=place == 3)
        return token.start, end, nxt

    def _judge_lower(self, index: int, place: int) -> tuple[int, int, int] | None:
        token = self.tokens[index]
        low, kind = token.low, token.kind
        if low in NOT_NAMES or low in _FAMILY or not token.text.islower():
            return None
        sure = kind & GIVEN and not kind & (COMMON | THING)
        if place == 3:
            step = 1
            while (
                low in PARTICLES
                and index + step < len(self.tokens)
                and step < 3
                and (self.tokens[index + step].low in PARTICLES)
            ):
                step += 1
            if low in PARTICLES and self._cap_at(index + step):
                at, end = self.reach(index + step, strong=True)
                return token.start, end, at
            if len(low) == 1:
                nxt = self.tokens[index + 1] if index + 1 < len(self.tokens) else None
                if nxt and nxt.gap in {". ", "."} and not nxt.kind & (COMMON | THING):
                    return token.start, nxt.end, index + 2
                return None
            if kind & (COMMON | THING) and not (kind & GIVEN and self._closed(token.end)):
                return None
            if not kind and (len(low) < 2 or len(low) > 20):
                return None
            at, end = self.reach(index, strong=True)
            return token.start, end, at
        if kind & GIVEN and index + 1 < len(self.tokens):
            # dale hutchins
            after = self.tokens[index + 1]
            if (
                after.gap == " "
                and after.kind & (SURNAME | GIVEN)
                and not after.kind & (COMMON | THING)
                and len(after.low) > 3
                and after.text.islower()
            ):
                return token.start, after.end, index + 2
        if sure and self._product_at(index):
            return None
        if sure and (len(low) >= 5 or (len(low) >= 3 and place == 2)):
            at, end = self.reach(index, strong=False)
            return token.start, end, at
        if sure and len(low) >= 3 and (self._next(index) in _SAYS or self._genitive(index)):
            at, end = self.reach(index, strong=False)
            return token.start, end, at
        if (
            kind & GIVEN
            and low in _SOFT
            and self._prev(index) in _FAMILY - {"partner", "child", "kid"}
        ):
            return token.start, token.end, index + 1
        return None

    # --- places ------------------------------------------------------------------------------

    def _place(self, index: int) -> int:
        """How much the words before speak for a name: 3 surely, 2 likely, 1 not at all."""
        tokens = self.tokens
        token = tokens[index]
        gap = token.gap
        if not index:
            return 1
        before = tokens[index - 1]
        low = before.low
        if self._genitive(index - 1) and low != "name" and not (low == "it" or low == "here"):
            return 1
        if low in {"it", "name", "here"} and self._genitive(index - 1):
            low = f"{low}'s"
        plain = gap == " "
        titled = gap == ". " or low not in _TITLES_WITH_DOT or (before.cap and token.cap)
        if low in TITLES and (plain or gap == ". ") and titled:
            return 3 if token.cap or gap == ". " or low in {
                "mr", "mrs", "ms", "dr", "miss", "herr", "frau", "mx", "prof"
            } else 2  # fmt: skip
        if low in _GREETINGS and gap in {" ", ", ", ",", ",  "} and self._greets(index - 1):
            if token.cap:
                return 3 if self._greeted(index) else 2
            return 3 if self._greeted(index) else 2
        if gap == ": " or gap == ":  " or gap == ":" or gap == " : ":
            return self._after_colon(index)
        if plain or gap in {", ", ' "', " (", " - "}:
            two = tokens[index - 2].low if index > 1 and before.gap == " " else ""
            if plain or gap == ' "':
                if (
                    low == "is"
                    and two in {"name", "surname", "this"}
                    and (token.cap or two == "name")
                ):
                    return 3 if two != "this" or self._introduced(index) else 2
                if low in {"i'm", "im", "its", "it's"} or (low == "am" and two == "i"):
                    return 3 if self._introduced(index) else 2 if token.cap else 1
                if low == "name's" or (low == "is" and two == "name"):
                    return 3
                if low == "name" and self._genitive(index - 1):
                    return 3
                if low in {"named", "cc", "attn", "fao"} and token.cap:
                    return 3
                if low in {"it's", "its"}:
                    return 2
                if low == "me" and two in {"call", "calls", "called"} and token.cap:
                    return 3
                if low in {"named", "called"} and two in _ROLES:
                    return 3
                if low == "uh" or low == "um":
                    return 2
            if (
                low in _ADDRESSED
                and plain
                and not (low in {"thanks", "thx", "cheers"} and not (self._closed(token.end)))
            ):
                return 2
            if low in {"with", "to", "from"} and two in {
                "spoke", "speak", "speaking", "spoken", "talk", "talked", "talking", "chatted",
                "met", "heard", "working", "dealt", "dealing", "me", "contact", "reach", "belongs",
                "handed", "over", "assigned", "responsible",
            } and plain:  # fmt: skip
                return 2
            if plain and low == "for" and two in {"ask", "asking", "asked", "looking", "reach"}:
                return 2
            if low in _ROLES and not (gap == ", " and not token.cap):
                return self._after_role(index)
            if (
                token.text.islower()
                and plain
                and low in _BEFORE
                and (token.kind & GIVEN and not token.kind & COMMON)
            ):
                return 2
            if (
                plain
                and token.cap
                and low in {"by", "from", "with", "than"}
                and token.kind & GIVEN
                and not token.kind & THING
                and (self._closed(token.end) or self._next(index) in _GOES_ON)
                and not self._quoted(index)
                and not self._names_product()
            ):
                return 2
        return 1

    def _after_role(self, index: int) -> int:
        token = self.tokens[index]
        before = self.tokens[index - 1]
        if before.cap and not before.first:
            # a label of a screen: "Bill customer Mark"
            return 1
        if token.gap in {", ", " (", ' "', " - "}:
            return 2 if token.kind & GIVEN else 1
        return 2

    def _after_colon(self, index: int) -> int:
        tokens = self.tokens
        before = tokens[index - 1]
        low = before.low
        if not tokens[index].cap:
            return 1
        if low in _LABELS and (
            before.gap.endswith("\n")
            or before.first
            or index == 1
            or (tokens[index - 2].low in _LABEL_HEADS)
        ):
            return 3
        return 1

    def _greets(self, index: int) -> bool:
        token = self.tokens[index]
        return (
            token.first
            or not index
            or token.gap in {", ", " - "}
            or (self.tokens[index - 1].low in _GREETING_HEADS)
        )

    def _greeted(self, index: int) -> bool:
        """Whether the word after a greeting is followed like a name: "Hi Rowan," """
        token = self.tokens[index]
        if token.kind & COMMON and not token.kind & (GIVEN | SURNAME) and not token.cap:
            return False
        _, end = self.reach(index, strong=True)
        return re.match(
            r"\s*(?:[,!.:;\-)]|$|\n|and |& |/|\(|speaking|here\b|from )", self.text[end : end + 10]
        ) is not None and (token.kind != COMMON or index <= 3)

    def _introduced(self, index: int) -> bool:
        """Whether "I'm X" goes on like an introduction."""
        token = self.tokens[index]
        _, end = self.reach(index, strong=True)
        rest = self.text[end : end + 40].lower()
        if token.cap:
            if token.kind & (COMMON | THING) and not token.kind & (GIVEN | SURNAME):
                return False
            return (
                re.match(
                    r"[,.!)(]|$|\n| -| and | here| from | at | speaking| again| the | a | one of | "
                    r"who | "
                    r"with | writing|, ",
                    rest,
                )
                is not None
            )
        if token.kind & (COMMON | THING) and not token.kind & GIVEN:
            return False
        return (
            re.match(
                r",? (?:here\b|from (?:the )?(?!(?:my|our|your|a|an)\b)\w+|at \w+|speaking\b|"
                r"again\b|"
                r"i \w+|and i\b)",
                rest,
            )
            is not None
        )

    # --- the whole -----------------------------------------------------------------------------

    def spans(self) -> Iterator[Span]:
        """The names in running text."""
        tokens = self.tokens
        size = len(tokens)
        index = 0
        last = -2
        while index < size:
            token = tokens[index]
            if not token.cap and not (
                token.kind & GIVEN
                or not token.kind
                or (index and tokens[index - 1].low in TITLES)
                or (len(token.low) == 1 and index and tokens[index - 1].low in _OPENERS)
            ):
                index += 1
                continue
            found = self.judge(index)
            if (
                found is None
                and last == index
                and not token.cap
                and (
                    token.kind & GIVEN and not token.kind & (COMMON | THING) and len(token.low) > 2
                )
            ):
                found = (token.start, token.end, index + 1)  # tomek and ola
            if (
                found is None
                and last == index
                and token.cap
                and token.kind & GIVEN
                and (not self._title_case(index) and not self._product_at(index))
            ):
                # "Mark" in: asked Noor and Mark
                at, end = self.reach(index, strong=False)
                found = (token.start, end, at)
            if found is None:
                index += 1
                continue
            start, end, at = found
            if end > start:
                yield start, end
                yield from self._joined_before(index)
            index = max(at, index + 1)
            last = index if index < size and tokens[index].gap in {" & ", " / "} else -2
            if (
                index + 1 < size
                and tokens[index].low in {"and", "or", "&", "then", "plus", "nor"}
                and (tokens[index].gap in {" ", ", "} and tokens[index + 1].gap == " ")
            ):
                last = index + 1

    def _joined_before(self, index: int) -> Iterator[Span]:
        """The word before "and" and a name, if it is no vocabulary: "ruairi and siobhan"."""
        tokens = self.tokens
        if index < 2 or tokens[index - 1].low not in {"and", "&", "or"}:
            return
        token = tokens[index - 2]
        if (
            not token.kind
            and not token.code
            and tokens[index - 1].gap == " "
            and tokens[index].gap == " "
            and len(token.low) > 3
            and "-" not in token.low
            and token.low not in self.own
            and not self.text[token.start : token.end].isupper()
            and self._english(index - 2)
        ):
            yield token.start, token.end


_OPENERS = frozenset({"am", "i'm", "is", "name"})
_LABELS = word_set(
    "name names contact person from to cc bcc requester reporter author owner attn me signed "
    "employee user customer payee beneficiary recipient holder cardholder patient student pupil "
    "driver guest tenant agent manager parent guardian director de von an para sender colleague "
    "admin member cardholder teacher tutor approver assignee signatory client surname spouse "
    "seller buyer by"
)
_LABEL_HEADS = word_set(
    "full first last contact display account requester billing your customer the submitted sent "
    "reported signed card emergency legal tech technical main primary new old employee on"
)


_CLOSER = (
    r"(?:many thanks|thanks|thank you|thx|tnx|ty|tia|cheers|all the best|(?:my |very |with "
    r")?(?:best|kind|kindest|warm|warmest)(?: (?:regards|wishes))?|regards|rgds|brgds|br|kr|"
    r"sincerely|yours(?: (?:sincerely|truly|faithfully))?|ta|respectfully|cordially|take care|"
    r"talk soon|ciao|greetings|have a (?:nice|great|good|lovely)[\w ]{0,20}|"
    r"looking forward[\w ]{0,30}|hope (?:this|that) helps|mit (?:freundlichen|besten) gr\w{2,6}|"
    r"mfg|lg|vg|viele gr\w{2,6}|(?:bien )?cordialement|saludos(?: cordiales)?|un saludo|"
    r"atentamente|atenciosamente|cumprimentos|abra\u00e7os?|xo|xx|love|peace|warmly|sent|"
    r"appreciated|(?:cordiali |distinti )?saluti|groetjes|(?:met )?(?:vriendelijke )?groet(?:en)?|"
    r"mvh|(?:med )?(?:v\u00e4nlig(?:a)?|vennlig|venlig) h\w+|hilsen|"
    r"pozdrawiam|s pozdravem|pozdrav|terveisin|kve\u00f0ja|ng\u0101 mihi|"
    r"yours|sayg\u0131lar\u0131mla|selamlar|merci|danke|gracias|grazie|obrigad[oa]|god bless|"
    r"bless|kindly|much appreciated|over and out|best of luck|speak soon)"
)
CLOSING_LINE = folded_regex(
    r"^[ ]*(?:.{0,120}[.!?] )?"
    + _CLOSER
    + r"(?: (?:so+ much|a (?:lot|million|bunch)|again|in advance|and regards|and best|"
    # few, because "for ..." may hold the others: each more multiplies the ways to read a line
    r"for \w[\w ]{0,40}|very much|all|team|everyone|and \w{1,20} regards)){0,3}[ ,.!:\-)]*$",
)
SAME_LINE_CLOSE = folded_regex(
    r"(?:^|[\n.!?,;)] {0,2})"
    + _CLOSER
    + r"[,!.;:]?(?: in advance| again| a (?:lot|million|bunch)| so+ much| guys| all)?[,!.;:]?"
    r"(?: ?[-~]{1,2})? (?=[^\n]{2,60}$)",
)
CLOSING_CUES = word_set(
    "thanks thank thx tnx ty tia cheers best regards rgds brgds br kr sincerely yours ta "
    "respectfully cordially care soon ciao greetings have looking hope freundlichen besten mfg lg "
    "vg viele cordialement saludos saludo atentamente atenciosamente cumprimentos abracos abraco "
    "xo xx love peace warmly sent appreciated saluti groetjes groet groeten mvh hilsen med "
    "pozdrawiam pozdravem pozdrav terveisin kvedja mihi saygilarimla selamlar merci danke gracias "
    "grazie obrigado obrigada bless kindly out luck wishes kind kindest warm warmest"
)
_DASH_LINE = re.compile(
    r"(?:^|[.!?,;)]\s{1,2}|\n)[ ]*[-~/]{1,3}[ ]?(?=[^\W\d_])|(?<=[\w)])[ ](?:/|-{1,2})[ "
    r"]?(?=[^\W\d_]+[ ]*,?[ ]*\Z)|(?<=[\w?!.)])[ ]-(?=[A-Z][^\W\d_]+(?: [A-Z]\.?)?[ ]*\Z)",
    re.MULTILINE,
)
_DASHES = (" -", " ~", " /", "\n-", "\n~", "\n/")
_LAST_PART = re.compile(
    r"(?:[.!?)\u2026][ ]{1,2}|[.!?]\n|\n)(?P<n>[^\W\d_][^\n.!?:]{1,40}(?:(?<![^\W\d_]{2})\.[^\n.!?:"
    r"]{1,30})?)[.! xX]*\Z"
)
_BEFORE_MAIL = re.compile(
    r"(?P<n>[A-Z\u00c0-\u00de][\w'.\-]{1,25}(?:[ ][A-Z\u00c0-\u00de][\w'.\-]{0,25}){0,3})(?:[ "
    r",:]{0,2}[ ]?[<(\[]|[ ,:]{1,2}[ ]?)(?:mailto:)?[\w.+\-]{1,64}@[\w\-]{1,63}\."
)
_TICKETED = re.compile(r"(?<![\w/])(?P<n>[A-Z]{3,20}/[A-Z]{3,20})(?: M(?:RS?|S|ISS|STR))?(?![\w/])")
"""As airlines print it: LINDGREN/ASTRID MRS."""
_DOTTED = re.compile(
    r"(?<![\w@./\-])(?P<n>(?P<a>[a-z]{3,16})\.(?P<b>[a-z]{3,20}))(?![\w@/(=]|\.\w)"
)
"""As logins are made: aoife.brannigan."""
_BEFORE_PHONE = re.compile(
    r"(?<![\w'-])(?P<n>[A-Z\u00c0-\u00de][\w'\-]{2,25}(?:[ ][A-Z\u00c0-\u00de][\w'\-]{1,25}){0,2})"
    r"[ ,:(]{1,3}(?:on |at )?\(?[+0]\d[\d ()./\-]{6,18}\d"
)
_TAIL = re.compile(
    r"[ .,!)(:x]*$|[ ]?[^\w\s.,]{1,4}$|[ ]?[,|(/@\-<\u00b7\u2022]|[ ](?:from|at|with) |[ ]x{1,3}$"
)


def reader_of(scan: Scan) -> Reader:
    """The reader of a text, made once."""
    reader: Reader | None = scan.memo.get("reader")
    if reader is None:
        reader = scan.memo["reader"] = Reader(scan)
    return reader


def share_products(scans: Sequence[Scan]) -> None:
    """Let a name of a thing in one text of a conversation be one in all of them.

    "Project Ganymede does not show up" says what the "Ganymede" of the reply is.
    """
    if len(scans) > 1:
        readers = [reader_of(scan) for scan in scans]
        found = frozenset().union(*(reader.products() for reader in readers))
        for reader in readers:
            reader.know_products(found)


def persons(scan: Scan) -> Iterator[Span]:
    """Positions of persons' names that nobody told of beforehand."""
    reader = reader_of(scan)
    if "/" in scan.text:
        for match in _TICKETED.finditer(scan.text):
            if not all(words().kind(fold(part)) & COMMON for part in match["n"].split("/")):
                yield match.span("n")
    if "host" in scan.features:
        for match in _DOTTED.finditer(scan.text):
            first, last = words().kind(match["a"]), words().kind(match["b"])
            if first & GIVEN and not first & (COMMON | THING) and not last & (COMMON | THING):
                yield match.span("n")
    yield from reader.spans()
    yield from _sign_offs(reader)
    if "seven" in scan.features:
        for match in _BEFORE_PHONE.finditer(scan.text):
            end = take_name(scan, match.start("n"), strong=True)
            if end is not None and end == match.end("n"):
                yield match.start("n"), end
    if "@" in scan.text:
        for match in _BEFORE_MAIL.finditer(scan.text):
            end = take_name(scan, match.start("n"), strong=True)
            if end is not None:
                yield match.start("n"), end


def token_at(scan: Scan, position: int) -> int | None:
    """The number of the word that begins at ``position``."""
    tokens = scan.tokens
    low, high = 0, len(tokens)
    while low < high:
        middle = (low + high) // 2
        if tokens[middle].start < position:
            low = middle + 1
        else:
            high = middle
    return low if low < len(tokens) and tokens[low].start == position else None


def take_name(scan: Scan, start: int, *, lower: str = "", strong: bool = False) -> int | None:
    """The end of the person's name that begins at ``start``, or None if none does.

    Args:
        lower: which lower-case words count: ``given`` for listed first names, ``any`` for all words
            that are no vocabulary, empty for none.
        strong: the place is one where a name is expected, so that names which are words count.
    """
    reader = reader_of(scan)
    index = token_at(scan, start)
    if index is None:
        return None
    token = scan.tokens[index]
    low, kind = token.low, token.kind
    if low in NOT_NAMES or low in reader.own or token.code:
        return None
    if token.cap:
        if len(token.text) == 1:
            found = reader._judge_initial(index, 3)
            return found[1] if found else None
        upper = token.text.isupper()
        if not upper and not looks_like_name(token):
            return None
        if kind & GIVEN or not kind & (COMMON | THING):
            sure = strong or not kind & (COMMON | THING)
        else:
            sure = bool(kind & SURNAME) and strong
        if low in PARTICLES and reader._cap_at(index + 1):
            sure = True
        if not sure or (upper and (len(low) < 3 or (not kind & GIVEN and len(low) < 5))):
            return None
        return reader.reach(index, strong=strong)[1]
    if low in PARTICLES and reader._cap_at(index + 1) and strong:
        return reader.reach(index + 1, strong=True)[1]
    if len(low) == 1 and lower == "any" and strong:
        found = reader._judge_lower(index, 3)
        return found[1] if found else None
    given = bool(kind & GIVEN) and not kind & (COMMON | THING) and len(low) >= 3
    unknown = lower == "any" and not kind & (COMMON | THING) and "'" not in low and len(low) >= 2
    word = lower == "any" and strong and bool(kind & GIVEN)
    if not (lower and (given or unknown or word)):
        return None
    return reader.reach(index, strong=strong)[1]


def lines_of(scan: Scan) -> list[tuple[int, int]]:
    """Start and end of every line that holds text, without the space around it."""
    spans: list[tuple[int, int]] | None = scan.memo.get("lines")
    if spans is not None:
        return spans
    spans = scan.memo["lines"] = []
    start = 0
    for line in scan.text.split("\n"):
        lead = len(line) - len(line.lstrip())
        if line.strip():
            spans.append((start + lead, start + len(line.rstrip())))
        start += len(line) + 1
    return spans


def _sign_offs(reader: Reader) -> Iterator[Span]:
    scan = reader.scan
    text = scan.text
    closing = not scan.prefilter or not CLOSING_CUES.isdisjoint(scan.vocabulary)
    if closing:
        for place in same_line_closes(scan):
            yield from name_to_line_end(scan, place, lower="any", strong=True)
    dashed = any(sign in text for sign in _DASHES) or text[:1] in "-~/"
    for match in _DASH_LINE.finditer(text) if dashed else ():
        if not text[match.end() :].strip().count("\n") > 1:
            before = text[: match.start()].rstrip("\n")
            previous = before[before.rfind("\n") + 1 :].lstrip()
            if not previous.startswith(("-", "*", "\u2022")):
                yield from name_to_line_end(scan, match.end(), lower="any", strong=True)
    lines = lines_of(scan)
    for index in closing_lines(scan):
        if index + 1 < len(lines):
            yield from name_to_line_end(scan, lines[index + 1][0], lower="any", strong=True)
    if len(lines) >= 2:
        start, end = lines[-1]
        alone = re.fullmatch(r"[^\W\d_]{3,15}[ :;)(.!-]*", text[start:end]) is not None
        own = text[:start].endswith("\n\n") and len(text) > 40
        lower = "any" if alone and own else "given"
        yield from name_to_line_end(scan, start, lower=lower, strong=alone and own)
        # "Imogen," on a line of its own above the message
        first = re.fullmatch(
            r"([^\W\d_][^\W\d_'\-]+(?: [^\W\d_'\-]+)?)[,!:.]?", text[slice(*lines[0])]
        )
        if first and text[lines[0][1] - 1] in ",!:" and text[lines[0][0]].isupper():
            name = take_name(scan, lines[0][0], strong=True)
            if name is not None and name >= lines[0][1] - 1:
                yield lines[0][0], name
    last = _LAST_PART.search(text, max(0, len(text.rstrip(". !xX")) - 90))
    if last and len(last["n"].split()) <= 5:
        start = last.start("n")
        last_at = token_at(scan, start)
        if last_at is not None:
            token = scan.tokens[last_at]
            if token.cap or not token.kind & (COMMON | THING):
                # a message that ends with a name and nothing else
                yield from name_to_line_end(scan, start, lower="given", strong=True)
    block = signature_block(scan)
    if block:
        yield block[0]


_CONTACT = re.compile(r"\d{3}|@|\bwww\.|://|\biban\b|\bvat\b", re.IGNORECASE)


def same_line_closes(scan: Scan) -> list[int]:
    """Where something follows on the line of a closing word: "Thanks, Jo"."""
    found: list[int] | None = scan.memo.get("same lines")
    if found is None:
        found = scan.memo["same lines"] = []
        if not scan.prefilter or not CLOSING_CUES.isdisjoint(scan.vocabulary):
            found += [match.end() for match in SAME_LINE_CLOSE.finditer(scan.lower)]
    return found


def closing_lines(scan: Scan) -> list[int]:
    """The numbers of the lines (of :func:`lines_of`) that say nothing but goodbye."""
    found: list[int] | None = scan.memo.get("closings")
    if found is None:
        found = scan.memo["closings"] = []
        if not scan.prefilter or not CLOSING_CUES.isdisjoint(scan.vocabulary):
            found += [
                number
                for number, (start, end) in enumerate(lines_of(scan))
                if CLOSING_LINE.match(scan.lower[start:end])
            ]
    return found


def signature_block(scan: Scan) -> tuple[Span, list[Span]] | None:
    """The name and the further parts of a signature that ends a message without a closing word."""
    if "block" not in scan.memo:
        scan.memo["block"] = _signature_block(scan, lines_of(scan))
    block: tuple[Span, list[Span]] | None = scan.memo["block"]
    return block


def _signature_block(scan: Scan, lines: list[tuple[int, int]]) -> tuple[Span, list[Span]] | None:
    if lines:
        low, high = lines[-1]
        ends = [match.end() for match in re.finditer(r"[.!?)] (?=[^\W\d_])", scan.text[low:high])]
        if ends and high - low - ends[-1] <= 70:
            lines = [*lines[:-1], (low, low + ends[-1] - 1), (low + ends[-1], high)]
    kind = words().kind
    for index in range(len(lines) - 1, max(0, len(lines) - 6), -1):
        start, end = lines[index]
        text = scan.text[start:end]
        if "?" in text or end - start > 110 or CLOSING_LINE.match(scan.lower[start:end]):
            return None
        while scan.text[start] in "-~/ *" and start < end - 1:
            start += 1
        stop = take_name(scan, start, strong=True, lower="given")
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
        sure = bool(kind(first) & GIVEN)
        if sure or len(tokens) >= 2 or (contact and not kind(first) & COMMON):
            if stop == end and index + 1 == len(lines) and not sure and index < 1:
                return None
            return (start, stop), rest
    return None


def name_to_line_end(scan: Scan, start: int, *, lower: str, strong: bool) -> Iterator[Span]:
    """The name that begins at ``start``, if nothing but a signature follows it on the line."""
    while scan.text[start : start + 1] in {" ", "-", "~", "/", "*", "_"}:
        start += 1
    title = re.match(
        r"(?:mr|mrs|ms|miss|dr|prof|hr|herr|frau|sr|sra)\b\.? ?", scan.lower[start : start + 6]
    )
    if title:
        start += title.end()
    end = take_name(scan, start, lower=lower, strong=strong)
    if end is None:
        initials = re.match(r"[A-Z]\.?[A-Z]?\.?(?=\s*$|\s*\n)", scan.text[start : start + 8])
        if initials and strong and scan.text[start : start + 2] not in {"OK", "IT", "HR"}:
            yield start, start + initials.end()
        return
    rest = scan.text[end:].split("\n", 1)[0]
    if _TAIL.match(rest):
        yield start, end
