"""Presidio, set up for help-desk text without a language model.

What lives here: the recognizers' and the NLP engine's classes, the two engines built of them, and
how rules and tagger settle what counts. What does not: what they look for (``rules.py``,
``known.py``, ``tagger.py``). The classes are made inside :func:`build_engine`, because presidio and
spaCy cost seconds to import and the code location must load without them.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.known import KnownIndex
from supportbot_dagster.tickets.rule import Rule, Scan
from supportbot_dagster.tickets.rules import RULES
from supportbot_dagster.tickets.rules_web import customers_urls
from supportbot_dagster.tickets.tagger import MASK, Find, Tagged, Tagger, decode
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import COMMON, fold, shadow, words

NAME_RECOGNIZERS = ("tagger", "known")
ENTITIES = [
    "ADDRESS",
    "CARD",
    "COMPANY",
    "DATE_OF_BIRTH",
    "EMAIL",
    "HANDLE",
    "IBAN",
    "ID",
    "IP",
    "LOCATION",
    "MAC",
    "PERSON",
    "PHONE",
    "REFERENCE",
    "SECRET",
    "URL",
    "WALLET",
    "WORKSPACE_URL",
]
PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]{1,20}>")
"""A typed placeholder, such as ``<EMAIL>``."""
_UNMASKED = re.compile(f"[^{MASK}]+")
_DIGIT = re.compile(r"\d")
_KNOWN, _NER = 0.86, 0.5
"""Scores of names from metadata, and of those of a spaCy pipeline."""
_SURE = 0.71
"""Score from which a name counts in the whole conversation; the tagger is 70 % sure then."""
_SURE_RULE = 0.9
"""Score from which a rule's find goes whole if the tagger takes a part of it."""
_PROOF = {"EMAIL": 0.9, "CARD": 0.94, "IBAN": 0.95}
"""Score from which the find of a rule goes whatever the tagger says."""
_RATHER_SURE = 0.4
"""Chance from which a common word at the beginning of a sentence is a name."""
_WHOLE = frozenset({"EMAIL", "CARD", "IBAN", "WALLET", "IP", "MAC", "PHONE", "ID"})
"""Entities of which a rule knows where a value begins and ends."""
_NER_LABELS = {"PERSON": "PERSON", "PER": "PERSON", "ORG": "COMPANY"}
_FOUND = frozenset({"PERSON", "COMPANY"})


@dataclass(frozen=True)
class Engine:
    """The analyzer and the anonymizer, and the way to call them.

    Args:
        analyzer: presidio's AnalyzerEngine.
        anonymizer: presidio's AnonymizerEngine.
        operators: one replacement per entity.
        conflict_resolution: how the anonymizer treats overlaps.
        result: presidio's RecognizerResult.
        rules: the rules.
        tagger: decides what is personal, with the rules' finds; None to take these as they are.
        prefilter: whether rules that cannot hit are skipped.
        ner: whether a spaCy pipeline is asked as well.
    """

    analyzer: Any
    anonymizer: Any
    operators: dict[str, Any]
    conflict_resolution: Any
    result: Any
    rules: Rules
    tagger: Tagger | None
    prefilter: bool = True
    ner: bool = False

    def read_all(self, texts: Sequence[str], vendor: Vendor) -> list[Read]:
        """What rules and tagger find in texts, which need not belong together."""
        scans = [make_scan(text, vendor, self.prefilter) for text in texts]
        finds = [self.rules.finds(scan) for scan in scans]
        if self.tagger is None:
            return [
                Read(text, scan, tuple(found))
                for text, scan, found in zip(texts, scans, finds, strict=True)
            ]
        tagged = self.tagger.tag([scan.text for scan in scans], finds)
        return [
            Read(text, scan, tuple(settle(scan, found, runs)))
            for text, scan, found, runs in zip(texts, scans, finds, tagged, strict=True)
        ]

    def unsure(self, text: str, vendor: Vendor, limit: float) -> list[str]:
        """Entities that may be left in a redacted text.

        They are what the tagger gives a chance above ``limit``, and what a rule finds.
        """
        if self.tagger is None:
            return []
        scan = make_scan(text, vendor, self.prefilter)
        finds = self.rules.finds(scan)
        tokens, chances = self.tagger.chances([scan.text], [finds])[0]
        runs = decode(scan.text, tokens, chances, finds, limit, 0.0)
        return sorted({find[0] for find in settle(scan, finds, runs)})

    def analyze_all(
        self, reads: Sequence[Read], known: Sequence[KnownIndex | None]
    ) -> list[Analyzed]:
        """What counts in texts that have been read, with what is known of each."""
        result = [Analyzed(read.text, read.scan, []) for read in reads]
        # presidio would only ask the others what is known already
        asked = [
            number
            for number, (read, names) in enumerate(zip(reads, known, strict=True))
            if (read.finds or names is not None or self.ner) and read.text.strip()
        ]
        for group in _groups(asked, [read.text for read in reads]):
            parts, starts = [], []
            start = 0
            for number in group:
                parts.append((start, reads[number], known[number]))
                starts.append(start)
                start += len(reads[number].text) + 1
            items = self.analyzer.analyze(
                text=_SEPARATOR.join([reads[number].scan.text for number in group]),
                language="en",
                entities=None,
                nlp_artifacts=self.analyzer.nlp_engine.artifacts(parts),
            )
            for item in items:
                at = bisect_right(starts, item.start) - 1
                item.start -= starts[at]
                item.end -= starts[at]
                result[group[at]].results.append(item)
        return [
            replace(one, results=self._beside_masks(one.scan.text, one.results))
            if MASK in one.scan.text
            else one
            for one in result
        ]

    def found(self, analyzed: Iterable[Analyzed]) -> set[tuple[str, str]]:
        """Entity and text of the names that count in all texts of a conversation."""
        found: set[tuple[str, str]] = set()
        for one in analyzed:
            results = one.results
            companies = [(r.start, r.end) for r in results if r.entity_type == "COMPANY"]
            for item in results:
                value = one.text[item.start : item.end]
                entity = item.entity_type
                if entity in _FOUND:
                    inside = entity == "PERSON" and any(
                        start <= item.start and item.end <= end for start, end in companies
                    )
                    if _SURE <= item.score < _KNOWN and not inside:
                        found.add((entity, value))
                elif entity == "SECRET":
                    # long enough not to be a part of ordinary words
                    if item.end - item.start >= 6:
                        found.add((entity, value))
                elif entity == "WORKSPACE_URL":
                    slug = value.rstrip("/").rpartition("/")[2]
                    if "." not in slug and "?" not in slug:
                        found.add(("COMPANY", slug))
        return found

    def _beside_masks(self, text: str, results: list[Any]) -> list[Any]:
        """Results without what is redacted already, so that redacting twice changes nothing."""
        kept = []
        for item in results:
            if MASK not in text[item.start : item.end]:
                kept.append(item)
                continue
            for part in _UNMASKED.finditer(text, item.start, item.end):
                if any(map(str.isalnum, part[0])):
                    kept.append(self.result(item.entity_type, *part.span(), item.score))
        return kept

    def redact_all(
        self, analyzed: Sequence[Analyzed], again: Sequence[KnownIndex | None]
    ) -> list[str]:
        """The texts with typed placeholders, also where one of its names in ``again`` stands."""
        done = [one.text for one in analyzed]
        results = [self._settled(one, names) for one, names in zip(analyzed, again, strict=True)]
        asked = [number for number, items in enumerate(results) if items]
        for group in _groups(asked, done):
            items, start = [], 0
            for number in group:
                for item in results[number]:
                    items.append(
                        self.result(
                            item.entity_type, start + item.start, start + item.end, item.score
                        )
                    )
                start += len(done[number]) + 1
            anonymized = self.anonymizer.anonymize(
                text=_SEPARATOR.join([done[number] for number in group]),
                analyzer_results=items,
                operators=self.operators,
                conflict_resolution=self.conflict_resolution,
            ).text
            texts = [anonymized] if len(group) == 1 else anonymized.split(_SEPARATOR)
            for number, text in zip(group, texts, strict=True):
                done[number] = text
        return done

    def _settled(self, analyzed: Analyzed, again: KnownIndex | None) -> list[Any]:
        """The results with those of ``again`` and with what goes with a customer's URL."""
        results = analyzed.results
        if again is not None and again.may_be_in(analyzed.rest):
            more = [
                self.result(entity, start, end, _KNOWN)
                for entity, (start, end) in again.spans(analyzed.scan)
            ]
            results = results + self._beside_masks(analyzed.scan.text, more)
        if not results:
            return results
        pieces = [(item.entity_type, item.start, item.end) for item in results]
        return results + [
            self.result(entity, start, end, 1.0)
            for entity, start, end in customers_urls(analyzed.scan, pieces)
        ]


_SEPARATOR = "\x1e"
"""Stands between the texts that presidio is given at once, because each call has its price."""
_JOINED = 4_000
"""Characters of such texts. Presidio copies what it has for each value that it replaces."""


def _groups(numbers: Iterable[int], texts: Sequence[str]) -> Iterator[list[int]]:
    """Numbers of texts that go to presidio together; one with the separator goes alone."""
    group: list[int] = []
    size = 0
    for number in numbers:
        alone = _SEPARATOR in texts[number]
        if group and (alone or size + len(texts[number]) > _JOINED):
            yield group
            group, size = [], 0
        group.append(number)
        size += _JOINED if alone else len(texts[number])
    if group:
        yield group


@dataclass(frozen=True)
class Read:
    """A text that rules and tagger have read.

    Args:
        text: the text.
        scan: its shadows.
        finds: what is personal in it.
    """

    text: str
    scan: Scan
    finds: tuple[Find, ...]


Parts = Sequence[tuple[int, Read, KnownIndex | None]]
"""Where each of the texts begins that presidio is given at once, what it holds and what is known
of it."""


@dataclass(frozen=True)
class Analyzed:
    """A text between the analyzer and the anonymizer.

    Args:
        text: the text.
        scan: its shadows.
        results: presidio's results.
    """

    text: str
    scan: Scan
    results: list[Any]

    @cached_property
    def rest(self) -> str:
        """The folded text without what is found in it."""
        lower, end, parts = self.scan.lower, 0, []
        for item in sorted(self.results, key=lambda result: result.start):
            parts.append(lower[end : item.start])
            end = max(end, item.end)
        return " ".join((*parts, lower[end:]))


def settle(scan: Scan, finds: Sequence[Find], runs: Sequence[Tagged]) -> list[Find]:
    """What counts, of the rules' finds and the tagger's runs.

    The tagger decides; where it agrees with a rule that knows the form of the whole value, the
    rule's bounds are taken. Mailboxes, cards and IBANs go in any case, because their form is proof,
    and so does a customer's workspace at the vendor, because no other text says which host is the
    vendor's. What is the vendor's stays, and so does what touches a placeholder, and a common word
    whose capital a sentence explains, unless the tagger is rather sure.
    """
    counted = [
        find
        for find in finds
        if find[3] >= _PROOF.get(find[0], 1.0)
        or (find[0] == "WORKSPACE_URL" and _at_vendors(scan, find[1], find[2]))
    ]
    if not runs:
        return counted
    ordered = sorted(finds, key=lambda find: find[1])
    starts = [find[1] for find in ordered]
    longest = max((find[2] - find[1] for find in finds), default=0)
    urls = _vendors_urls(scan)
    for run in runs:
        first = bisect_left(starts, run.start - longest)
        near = ordered[first : bisect_left(starts, run.end, lo=first)]
        around = [find for find in near if find[2] > run.start]
        if is_vendors(scan, run.start, run.end):
            continue
        if scan.lower[run.start : run.end].strip(":/") in {"http", "https", "www"}:
            continue
        if not around and (_within(urls, run) or _beside_mask(scan.text, run)):
            continue
        if run.chance < _RATHER_SURE and _opens_a_sentence(scan, run):
            continue
        fitting = [
            find
            for find in around
            if find[0] in _WHOLE
            and (find[3] >= _SURE_RULE or 2 * _shared(find, run) >= find[2] - find[1])
        ]
        counted += fitting
        if not any(find[1] <= run.start and run.end <= find[2] for find in fitting):
            # the score carries how sure the tagger is, below that of known names
            counted.append((run.entity, run.start, run.end, 0.5 + 0.3 * run.chance))
    return list(dict.fromkeys(counted))


def _at_vendors(scan: Scan, start: int, end: int) -> bool:
    return any(domain in scan.lower[start:end] for domain in scan.vendor.domains)


def _shared(find: Find, run: Tagged) -> int:
    return min(find[2], run.end) - max(find[1], run.start)


def is_vendors(scan: Scan, start: int, end: int) -> bool:
    """Whether a place names the vendor, one of its hosts or mailboxes, or another product."""
    value = scan.lower[start:end].strip(" .,:;!?()[]\"'")
    vendor = scan.vendor
    if value in vendor.words or value == vendor.name or vendor.owns_host(value):
        return True
    around = scan.lower[max(0, start - 64) : end + 64]
    return "@" in around and any(value in mail and mail in around for mail in vendor.emails)


_SENTENCE_BEFORE = re.compile(r"(?:^|[.!?]\s|\n)\s*$")
_GOES_ON = re.compile(r" [a-z]")


def _opens_a_sentence(scan: Scan, run: Tagged) -> bool:
    """Whether a run is one word of the vocabulary at the beginning of a sentence that goes on."""
    return (
        run.entity == "PERSON"
        and words().kind(scan.lower[run.start : run.end]) & COMMON != 0
        and _GOES_ON.match(scan.text, run.end) is not None
        and _SENTENCE_BEFORE.search(scan.text[max(0, run.start - 4) : run.start]) is not None
    )


_SPACE = re.compile(r"\s")
_URL = re.compile(r"(?<![\w.\-])(?:https?://)?((?:[\w\-]{1,63}\.){1,8}[a-z]{2,24})/[^\s<>\"')]*")


def _vendors_urls(scan: Scan) -> list[tuple[int, int]]:
    """The URLs of the vendor, whose paths its docs and app are made of."""
    if not scan.vendor.domains:
        return []
    matches = _URL.finditer(scan.lower)
    return [match.span() for match in matches if scan.vendor.owns_host(match[1])]


def _within(spans: Sequence[tuple[int, int]], run: Tagged) -> bool:
    at = bisect_right(spans, run.start, key=lambda span: span[0]) - 1
    return at >= 0 and run.end <= spans[at][1]


def _beside_mask(text: str, run: Tagged) -> bool:
    """Whether a run touches what is redacted already: the rest of a URL or of a code."""
    if MASK not in text:
        return False
    before = _SPACE.split(text[max(0, run.start - 200) : run.start])[-1]
    after = _SPACE.split(text[run.end : run.end + 200], maxsplit=1)[0]
    return MASK in before or MASK in after


class Rules:
    """The rules, and which of them may hit, found by a few look-ups instead of a question to each.

    Each rule is one bit; the digits and features of a text switch bits on.

    Args:
        rules: all rules.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = list(rules)
        self._lacking: dict[str, int] = {}
        self._of_digits = [0] * 17
        self._known: dict[tuple[int, frozenset[str]], list[Rule]] = {}
        for number, rule in enumerate(rules):
            bit = 1 << number
            for feature in rule.needs:
                self._lacking[feature] = self._lacking.get(feature, 0) | bit
            for digits in range(min(rule.digits, 16), 17):
                self._of_digits[digits] |= bit

    def finds(self, scan: Scan) -> list[Find]:
        """What the rules find in a text, each place and entity once with its best score."""
        best: dict[tuple[str, tuple[int, int]], float] = {}
        for rule in self._candidates(scan) if scan.prefilter else self._rules:
            for span in rule.spans(scan):
                if rule.score > best.get((rule.entity, span), 0.0):
                    best[rule.entity, span] = rule.score
        return [(entity, start, end, score) for (entity, (start, end)), score in best.items()]

    def _candidates(self, scan: Scan) -> Iterator[Rule]:
        """The rules that may hit in a text."""
        lower = scan.lower
        for rule in self._of(min(scan.digits, 16), scan.features):
            if rule.gate:
                for part in rule.gate:
                    if part in lower:
                        break
                else:
                    continue
            yield rule

    def _of(self, digits: int, features: frozenset[str]) -> list[Rule]:
        """The rules that texts of so many digits and of these features need; remembered."""
        known = self._known.get((digits, features))
        if known is not None:
            return known
        found = self._of_digits[digits]
        for feature, bits in self._lacking.items():
            if feature not in features:
                found &= ~bits
        rules = []
        while found:
            low = found & -found
            found ^= low
            rules.append(self._rules[low.bit_length() - 1])
        if len(self._known) < _REMEMBERED:
            self._known[digits, features] = rules
        return rules


_REMEMBERED = 10_000
"""Kinds of texts whose rules are remembered."""


def rule_set(without: frozenset[str] = frozenset()) -> Rules:
    """The rules of all recognizers but those left out."""
    return Rules([rule for name, table in RULES.items() if name not in without for rule in table])


def make_scan(text: str, vendor: Vendor, prefilter: bool = True) -> Scan:
    """The shadows of a text, made once for all recognizers."""
    if "<" in text:
        text = PLACEHOLDER.sub(lambda match: MASK * len(match[0]), text)
    plain = shadow(text)
    return Scan(plain, fold(text), vendor, len(_DIGIT.findall(plain)), prefilter)


def build_engine(
    without: frozenset[str] = frozenset(), prefilter: bool = True, ner_model: str = ""
) -> Engine:
    """Build the engines.

    Args:
        without: names of recognizers to leave out (keys of RULES, or of NAME_RECOGNIZERS).
        prefilter: whether rules that cannot hit are skipped; only for tests of that.
        ner_model: name or folder of a spaCy pipeline that finds names as well; empty for none.

    Raises:
        UserError: if the spaCy pipeline is not installed.
        ValueError: if ``without`` names a recognizer that does not exist.
    """
    import spacy
    from presidio_analyzer import (
        AnalyzerEngine,
        EntityRecognizer,
        RecognizerRegistry,
        RecognizerResult,
    )
    from presidio_analyzer.context_aware_enhancers import ContextAwareEnhancer
    from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine
    from presidio_anonymizer import AnonymizerEngine
    from presidio_anonymizer.entities import ConflictResolutionStrategy, OperatorConfig

    words()
    unknown = without - set(RULES) - set(NAME_RECOGNIZERS)
    if unknown:
        raise ValueError(f"no recognizer is called {', '.join(sorted(unknown))}")

    ner: Any = None
    if ner_model:
        try:
            ner = spacy.load(ner_model)
        except (OSError, ValueError) as error:
            raise UserError(
                f"the spaCy pipeline {ner_model!r} cannot be loaded. Install it with "
                f"'python -m spacy download {ner_model}', or leave the setting empty."
            ) from error

    class ReadArtifacts(NlpArtifacts):  # type: ignore[misc, unused-ignore]
        """Presidio's artifacts with what rules and tagger found."""

        def __init__(self, parts: Parts, tokens: Any, engine: Any) -> None:
            super().__init__(
                entities=[],
                tokens=tokens,
                tokens_indices=[],
                lemmas=[],
                nlp_engine=engine,
                language="en",
            )
            self.parts = parts

    class BlankEngine(NlpEngine):  # type: ignore[misc, unused-ignore]
        """A blank spaCy pipeline: a tokenizer and nothing that needs a download.

        The recognizers read the text itself, so tokens are made only for a caller that comes
        through presidio's own interface.
        """

        def __init__(self) -> None:
            self._nlp: Any = None

        def load(self) -> None:
            self._nlp = spacy.blank("en")

        def is_loaded(self) -> bool:
            return self._nlp is not None

        def artifacts(self, parts: Parts) -> ReadArtifacts:
            return ReadArtifacts(parts, None, self)

        def process_text(self, text: str, language: str) -> ReadArtifacts:
            read = Read(text, make_scan(text, Vendor()), ())
            return ReadArtifacts([(0, read, None)], self._nlp(text), self)

        def process_batch(
            self,
            texts: Iterable[str],
            language: str,
            batch_size: int = 1,
            n_process: int = 1,
            **kwargs: Any,
        ) -> Iterator[tuple[str, NlpArtifacts]]:
            for text in texts:
                yield text, self.process_text(text, language)

        def is_stopword(self, word: str, language: str) -> bool:
            return bool(self._nlp.vocab[word].is_stop)

        def is_punct(self, word: str, language: str) -> bool:
            return bool(self._nlp.vocab[word].is_punct)

        def get_supported_entities(self) -> list[str]:
            return []

        def get_supported_languages(self) -> list[str]:
            return ["en"]

    class TicketRecognizer(EntityRecognizer):  # type: ignore[misc, unused-ignore]
        """All recognizers in one, because each call through presidio has its price."""

        def __init__(self) -> None:
            super().__init__(supported_entities=ENTITIES, name="tickets", supported_language="en")

        def load(self) -> None:
            """Nothing to load."""

        def _finds(self, read: Read, known: KnownIndex | None) -> Iterator[Find]:
            yield from read.finds
            if ner is not None:
                for entity in ner(read.scan.text).ents:
                    if (
                        entity.label_ in _NER_LABELS
                        and entity.text.lower() not in read.scan.vendor.words
                    ):
                        yield _NER_LABELS[entity.label_], entity.start_char, entity.end_char, _NER
            if "known" not in without and known is not None:
                for name, (start, end) in known.spans(read.scan):
                    yield name, start, end, _KNOWN

        def analyze(
            self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
        ) -> list[RecognizerResult]:
            if not isinstance(nlp_artifacts, ReadArtifacts):
                raise TypeError("the recognizer needs the artifacts of its own engine")
            metadata = {
                RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
                RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            }
            return [
                RecognizerResult(
                    entity, offset + start, offset + end, score, recognition_metadata=metadata
                )
                for offset, read, known in nlp_artifacts.parts
                for entity, start, end, score in self._finds(read, known)
                if entity in entities
            ]

    class NoContext(ContextAwareEnhancer):  # type: ignore[misc, unused-ignore]
        """The rules weigh context themselves."""

        def __init__(self) -> None:
            super().__init__(0.0, 0.0, 0, 0)

        def enhance_using_context(
            self, text: str, raw_results: Any, *args: Any, **kwargs: Any
        ) -> Any:
            return raw_results

    registry = RecognizerRegistry(supported_languages=["en"])
    registry.add_recognizer(TicketRecognizer())
    analyzer = AnalyzerEngine(
        registry=registry,
        nlp_engine=BlankEngine(),
        supported_languages=["en"],
        context_aware_enhancer=NoContext(),
    )
    anonymizer = AnonymizerEngine()  # type: ignore[no-untyped-call]
    operators = {
        entity: OperatorConfig("replace", {"new_value": f"<{entity}>"}) for entity in ENTITIES
    }
    return Engine(
        analyzer,
        anonymizer,
        operators,
        ConflictResolutionStrategy.REMOVE_INTERSECTIONS,
        RecognizerResult,
        rule_set(without),
        None if "tagger" in without else Tagger.load(),
        prefilter,
        ner is not None,
    )
