"""The filters between a teacher's pair and a training row, each with its reject reason.

What lives here: what is checked of one pair against its section. What does not: near-duplicates
among many pairs (:mod:`supportbot_dagster.dataset.duplicates`) and who made the pair.

A docs page may hold anything, also sentences that speak to the teacher, and a teacher may invent.
So nothing is believed that the section does not say: the evidence must stand in it, every hard fact
and every label of the answer must, and most of the answer's words must.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from rapidfuzz import fuzz, process

from supportbot_dagster.dataset.rows import QUESTION_PREFIX, fold
from supportbot_dagster.dataset.unseen import has_unseen, template_token
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.synthesis.facts import unsupported
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Pair

MAX_ANSWER_WORDS = 120
"""An answer of 200 tokens holds about 150 words; 120 leaves room for long words."""
MAX_ANSWER_LETTERS = 1000
MIN_ANSWER_WORDS = 8
MIN_EVIDENCE_WORDS = 2
"""A word alone stands in too many sections to support anything."""
MAX_QUESTION_WORDS = 80
MAX_QUESTION_LETTERS = 800
MIN_SUPPORT = 0.6
"""Share of the answer's content words that must stand in the section. Of 258 answers written with
care for a section each, the lowest has 0.65, the fifth percentile 0.81."""
FUZZY_WORD = 80.0
"""Ratio (0 to 100) from which a misspelled word counts as one of the section's."""

NOT_ANSWERED = "question not answered here"

_MARKUP = re.compile(r"[*_`#>|\\]|\[([^\]]{0,300})\]\([^)]{0,2000}\)")
_WORD = re.compile(r"[a-z0-9][a-z0-9'-]*")
_STOP = frozenset(
    "a an and are as at be been but by can cannot could did do does for from had has have how i if "
    "in into is it its just me my no not of off on one only or our out so than that the their them "
    "then there these they this those to too up us use used was we were what when where which "
    "while who why will with would you your also any all each every make made makes need needs "
    "want get gets still after before again about once both more most other same such here it's "
    "don't doesn't didn't isn't can't i'm i've please hi hello thanks pls plz help way possible "
    "anyone someone something anything thing things".split()
)
_ENDINGS = (
    "ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "s", "ly", "y", "e",
)  # fmt: skip
_LABEL = re.compile(
    # a capital amid a sentence: a button, a page, a role; what is quoted or bold
    r"(?<![.!?:]\s)(?<!^)(?<![\"'(*])\b[A-Z][\w-]*(?: [A-Z][\w-]*)*|\"[^\"\n]{2,40}\"|"
    r"\*\*[^*\n]{2,40}\*\*",
)
_IDENTIFIER = re.compile(r"(?<![\w./@-])[A-Za-z]\w*(?:[_.][A-Za-z]\w*)+(?![\w@/-])")
"""``list.deleted``, ``optout_link``: names that only code has."""
_PRONOUN = re.compile(r"\bI(?:'(?:m|ve|d|ll))?\b")
_ABOUT_DOCS = re.compile(
    r"\b(?:according to|as (?:stated|described|mentioned|explained|noted)(?: in)?|"
    r"(?:the|this|these) (?:docs?|documentation|section|article|page|guide|passage|text) "
    r"(?:says?|states?|describes?|explains?|mentions?|notes?|tells?|does not|doesn't|above)|"
    r"in (?:the|this) (?:docs|documentation|section|article|passage|provided)|"
    r"based on the (?:provided|given|above)|"
    r"(?:as )?per (?:the |our )?(?:docs|documentation|article|section|page)|"
    r"(?:see|check|read|consult) (?:the|our|this) (?:docs|documentation|article))\b",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"^(?:hi|hello|hey|dear|greetings|good (?:morning|afternoon|evening)|thank you for|thanks for|"
    r"sure|certainly|of course|absolutely|great question)\b",
    re.IGNORECASE,
)
_SIGN_OFF = re.compile(
    r"\b(?:best|kind|warm) regards\b|\bsincerely\b|\b(?:the \w+ (?:support )?team)\W*$|"
    r"\b(?:hope (?:this|that) helps|happy to help|let (?:me|us) know if|feel free to (?:reach|ask|"
    r"contact)|anything else i can)\b",
    re.IGNORECASE,
)
_OF_MACHINES = re.compile(
    r"\bas an? (?:ai|language model|assistant)\b|\blanguage model\b|\bsystem prompt\b|"
    r"\b(?:ignore|disregard|forget|override) (?:all |any |every |the |these |those |my |your )*"
    r"(?:previous|prior|above|earlier|preceding|other|instructions?|rules|prompts?)\b|"
    r"\byou are now\b|\bnew instructions?\b|\b(?:my|your) instructions\b|\bjailbreak\b|"
    r"\bprompt injection\b|</?(?:script|system|user|assistant|instructions?)\b|\bdeveloper mode\b|"
    r"\bpwned\b|(?:^|[.!?]\s)\s*(?:system|assistant|human|user|ai|bot)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_LAYOUT = re.compile(
    r"^\s*(?:#{1,6} |[-*] |\d+[.)] |\|)|```|^\s*>|\[[^\]\n]{0,200}\]\(", re.MULTILINE
)
_CODE = re.compile(
    r"</?[a-z][^<>]{0,200}>|<!--|<!\[cdata|&(?:[a-z]{2,8}|#\d{1,7}|#x[0-9a-f]{1,6});|"
    r"\b(?:java|vb)script:|"
    # what a template would have filled, and code
    r"\{\{?\s*[\w.-]{1,40}\s*\}|\$\(|\[(?:your|insert|name|company|product|link|url)\b"
    r"[^\[\]\n]{0,40}\]|`[^`\n]{1,300}`",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]+(?:_\d+)?>")
"""What redaction puts in the place of a name: in a question it stands for one."""
_THE_USER = re.compile(
    r"\bthe (?:user|customer)(?:'s)? (?:can|must|should|needs?|has|may|will)\b", re.I
)
_TESTIFIES = re.compile(
    r"\b(?:the|this|that) (?:section|article|documentation|paragraph|passage|text|docs?) (?:does )?"
    r"(?:say|describe|mention|explain|state|cover)s?\b|"
    r"\bwhat does (?:the|this) (?:section|article|docs?|page|text)\b",
    re.IGNORECASE,
)


class Checked:
    """A section made ready for checking its pairs.

    Args:
        section: the section.
        own: words that may stand in any answer: the product's name.
    """

    def __init__(self, section: SectionText, own: frozenset[str] = frozenset()) -> None:
        self.section = section
        self._own = own
        self._faults: dict[tuple[str, str], str | None] = {}

    def answer_fault(self, pair: Pair) -> str | None:
        """Why a pair's answer must not train, or None; most pairs of a section share it."""
        said = (pair.answer, pair.evidence)
        if said not in self._faults:
            self._faults[said] = _first(_OF_ANSWER, pair, self)
        return self._faults[said]

    @cached_property
    def source(self) -> str:
        """Headings and text without markup, lower case."""
        return _unmarked(f"{' > '.join(self.section.heading_path)}\n{self.section.markdown}")

    @cached_property
    def squeezed(self) -> str:
        """The text's letters and digits alone, so that markup and spacing cannot hide a quote."""
        return squeeze(self.section.markdown)

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of the words of headings and text."""
        return stems(self.source)

    def lacks_code(self, text: str) -> bool:
        """Whether a text holds a tag, an entity, a slot or code that the section does not show."""
        return any(_unmarked(match[0]) not in self.source for match in _CODE.finditer(text))

    def lacks_label(self, answer: str) -> str:
        """The first label of an answer of which the section lacks a word, or nothing."""
        for match in _LABEL.finditer(answer):
            label = match[0].strip('"*')
            if _PRONOUN.fullmatch(label) or label.lower() in self._own:
                continue
            for word in re.findall(r"[\w-]+", label.lower().replace("_", "")):
                single = word.removesuffix("'s").rstrip("s")
                if single and single not in self.source and word not in self._own:
                    return label
        names = (match[0] for match in _IDENTIFIER.finditer(answer))
        return next(
            (name for name in names if name.lower().replace("_", "") not in self.source), ""
        )


Filter = Callable[[Pair, Checked], bool]


@dataclass(frozen=True)
class Reason:
    """A filter and what a pair that it stops is counted under.

    Args:
        name: the reason.
        stops: whether it stops a pair.
        names: what it found, for a person who is to mend it; None where the name says it all.
    """

    name: str
    stops: Filter
    names: Callable[[Pair, Checked], str] | None = None

    def told(self, pair: Pair, checked: Checked) -> str:
        """The reason with what was found."""
        return f"{self.name} ({self.names(pair, checked)})" if self.names else self.name


def own_words(product: str) -> frozenset[str]:
    """The words of a product's name, which may stand in any answer."""
    return frozenset(product.lower().split())


def _unmarked(text: str) -> str:
    """A text without Markdown's marks, lower case."""
    return fold(re.sub(r"[*_`\\]", "", text)).lower()


def squeeze(text: str) -> str:
    """Letters and digits only, case folded, links without their addresses."""
    plain = _MARKUP.sub(lambda match: match.group(1) or "", fold(text))
    return re.sub(r"[^\w]+", "", plain).casefold()


@lru_cache(4096)  # an answer is asked about once for each of its questions
def stems(text: str) -> frozenset[str]:
    """Content words of a text without their endings. Crude on purpose: both sides lose the same."""
    return frozenset(
        _stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP and len(word) > 1
    )


def _stem(word: str) -> str:
    word = word.removesuffix("'s")
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _evidence_lacking(pair: Pair, checked: Checked) -> bool:
    quote = squeeze(pair.evidence)
    return len(pair.evidence.split()) < MIN_EVIDENCE_WORDS or quote not in checked.squeezed


def _unsupported(pair: Pair, checked: Checked) -> list[str]:
    section = checked.section
    return unsupported(pair.answer, (section.markdown, " > ".join(section.heading_path)))


def _unsupported_fact(pair: Pair, checked: Checked) -> bool:
    return bool(_unsupported(pair, checked))


def _says_other_things(pair: Pair, checked: Checked) -> bool:
    said = stems(pair.answer)
    return len(said & checked.stems) < MIN_SUPPORT * len(said)


def _asks_about(question: str, known: frozenset[str]) -> bool:
    """Whether a question shares a word with what is known, a misspelled one included."""
    asked = stems(question)
    if asked & known:
        return True
    return any(
        len(word) > 3
        and process.extractOne(word, known, scorer=fuzz.ratio, score_cutoff=FUZZY_WORD)
        for word in asked
    )


def _speaks_of_machines(text: str) -> bool:
    return _OF_MACHINES.search(text) is not None


def _wrong_voice(pair: Pair, checked: Checked) -> bool:
    answer = pair.answer.strip()
    return (
        any(
            pattern.search(answer)
            for pattern in (_ABOUT_DOCS, _GREETING, _SIGN_OFF, _LAYOUT, _THE_USER)
        )
        or answer.isupper()
    )


def _no_customers_question(pair: Pair, checked: Checked) -> bool:
    words = pair.question.split()
    return (
        len(words) > MAX_QUESTION_WORDS
        or len(pair.question) > MAX_QUESTION_LETTERS
        or pair.question.lower().lstrip().startswith(QUESTION_PREFIX.strip().lower())
        or _TESTIFIES.search(pair.question) is not None
        or squeeze(pair.question) == squeeze(pair.answer)
    )


_BARE = re.compile(
    r"\bi (?:do not|don't) know\b|\bi(?: am|'m) not (?:sure|certain)\b|"
    r"\bi(?: am|'m)? (?:can ?not|can't|unable to|not able to|won't)\b.{0,60}"
    r"\b(?:help|assist|answer|say|tell|know|provide|information)\b|"
    r"\b(?:no|not enough) information\b|(?:\bnot|n't) (?:mentioned|specified|documented|covered)\b|"
    r"\b(?:contact|ask|reach out to|consult) (?:the )?(?:support|your "
    r"administrator|customer service)\b[^.]{0,40}\bfor (?:help|more|details|further|assistance)\b",
    re.IGNORECASE,
)


def deflects(answer: str) -> bool:
    """Whether an answer hands the customer on, or says that it does not know."""
    return is_refusal(answer) or _BARE.search(answer) is not None


_OF_ANSWER = (
    Reason(
        "answer length",
        lambda pair, checked: (
            not MIN_ANSWER_WORDS <= len(pair.answer.split()) <= MAX_ANSWER_WORDS
            or len(pair.answer) > MAX_ANSWER_LETTERS
        ),
        lambda pair, checked: (
            f"{len(pair.answer.split())} words and {len(pair.answer)} letters; allowed are "
            f"{MIN_ANSWER_WORDS} to {MAX_ANSWER_WORDS} words and {MAX_ANSWER_LETTERS} letters"
        ),
    ),
    Reason("unseen characters", lambda pair, checked: has_unseen(pair.answer)),
    Reason(
        "token of a chat template",
        lambda pair, checked: bool(template_token(pair.answer)),
        lambda pair, checked: template_token(pair.answer),
    ),
    Reason("code not in the section", lambda pair, checked: checked.lacks_code(pair.answer)),
    Reason("answer is a deflection", lambda pair, checked: deflects(pair.answer)),
    Reason("speaks of instructions", lambda pair, checked: _speaks_of_machines(pair.answer)),
    Reason("evidence not in the section", _evidence_lacking),
    Reason(
        "fact not in the section",
        _unsupported_fact,
        lambda pair, checked: ", ".join(_unsupported(pair, checked)),
    ),
    Reason(
        "label not in the section",
        lambda pair, checked: bool(checked.lacks_label(pair.answer)),
        lambda pair, checked: checked.lacks_label(pair.answer),
    ),
    Reason("answer not of the section", _says_other_things),
    Reason("voice", _wrong_voice),
)
_OF_QUESTION = (
    Reason("empty question", lambda pair, checked: not squeeze(pair.question)),
    Reason("question not a customer's", _no_customers_question),
    Reason("unseen characters", lambda pair, checked: has_unseen(pair.question)),
    Reason("token of a chat template", lambda pair, checked: bool(template_token(pair.question))),
    Reason(
        "code not in the section",
        lambda pair, checked: checked.lacks_code(_PLACEHOLDER.sub(" ", pair.question)),
    ),
    Reason("speaks of instructions", lambda pair, checked: _speaks_of_machines(pair.question)),
)


def reject_reasons(pairs: Sequence[Pair], checked: Checked) -> list[str | None]:
    """Why each pair of a section must not train, or None; the first reason that applies.

    A question must share a word with the section or its answer. One that shares none, as customers
    have words of their own, must share one with another phrasing of the same reply that does.
    """
    found = [checked.answer_fault(pair) or _first(_OF_QUESTION, pair, checked) for pair in pairs]
    sure: set[str] = set()
    unsure = []
    for number, pair in enumerate(pairs):
        if found[number] is None:
            if _asks_about(pair.question, checked.stems | stems(pair.answer)):
                sure |= stems(pair.question)
            else:
                unsure.append(number)
    for number in unsure:
        if not _asks_about(pairs[number].question, frozenset(sure)):
            found[number] = NOT_ANSWERED
    return found


def all_reasons(pair: Pair, checked: Checked, phrasings: Sequence[str] = ()) -> list[str]:
    """Everything that speaks against a pair, with what was found; for a person to mend.

    Args:
        pair: the pair.
        checked: its section.
        phrasings: other questions of the section, whose words the question may share instead.
    """
    found = [
        reason.told(pair, checked)
        for reason in (*_OF_ANSWER, *_OF_QUESTION)
        if reason.stops(pair, checked)
    ]
    known = checked.stems.union(stems(pair.answer), *map(stems, phrasings))
    if not _asks_about(pair.question, known):
        found.append(NOT_ANSWERED)
    return list(dict.fromkeys(found))


def _first(reasons: tuple[Reason, ...], pair: Pair, checked: Checked) -> str | None:
    return next((reason.name for reason in reasons if reason.stops(pair, checked)), None)
