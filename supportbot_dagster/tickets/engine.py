"""Presidio, set up for help-desk text without a language model.

What lives here: the recognizers' and the NLP engine's classes and the two engines built of them.
What does not: what the recognizers look for (``rules.py``, ``known.py``, ``persons.py``,
``companies.py``). The classes are made inside :func:`build_engine`, because presidio and spaCy cost
seconds to import and the code location must load without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.companies import companies, mail_hosts
from supportbot_dagster.tickets.companies_told import companies_told
from supportbot_dagster.tickets.known import KnownIndex
from supportbot_dagster.tickets.persons import persons, share_products
from supportbot_dagster.tickets.persons_told import names_told
from supportbot_dagster.tickets.rule import Rule, Scan
from supportbot_dagster.tickets.rules import RULES
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import fold, shadow, words

NAME_RECOGNIZERS = ("person", "company", "mail_host", "known")
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
_MASK = "\ufffc"
_UNMASKED = re.compile(f"[^{_MASK}]+")
_DIGIT = re.compile(r"\d")
_SCORES = {"known": 0.86, "person": 0.72, "company": 0.73, "mail_host": 0.7, "ner": 0.5}
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
        prefilter: whether rules that cannot hit are skipped.
    """

    analyzer: Any
    anonymizer: Any
    operators: dict[str, Any]
    conflict_resolution: Any
    result: Any
    prefilter: bool = True

    def analyze_all(
        self,
        texts: Sequence[str],
        vendor: Vendor,
        known: KnownIndex | None,
        found: set[tuple[str, str]],
    ) -> list[Analyzed]:
        """What is found in the texts of one conversation.

        Entity and text of names are added to ``found``.
        """
        scans = [make_scan(text, vendor, self.prefilter) for text in texts]
        share_products(scans)
        return [
            self._analyze(text, scan, known, found) for text, scan in zip(texts, scans, strict=True)
        ]

    def _analyze(
        self, text: str, scan: Scan, known: KnownIndex | None, found: set[tuple[str, str]]
    ) -> Analyzed:
        if not text.strip():
            return Analyzed(text, scan, [])
        artifacts = self.analyzer.nlp_engine.artifacts(scan, known)
        results = self.analyzer.analyze(
            text=scan.text, language="en", entities=None, nlp_artifacts=artifacts
        )
        if _MASK in scan.text:
            results = self._beside_masks(scan.text, results)
        companies = [(r.start, r.end) for r in results if r.entity_type == "COMPANY"]
        for item in results:
            value = text[item.start : item.end]
            entity = item.entity_type
            if entity in _FOUND:
                inside = entity == "PERSON" and any(
                    start <= item.start and item.end <= end for start, end in companies
                )
                if item.score < _SCORES["known"] and not inside:
                    found.add((entity, value))
            elif entity == "SECRET":
                # long enough not to be a part of ordinary words
                if item.end - item.start >= 6:
                    found.add((entity, value))
            elif entity == "WORKSPACE_URL":
                slug = value.rstrip("/").rpartition("/")[2]
                if "." not in slug and "?" not in slug:
                    found.add(("COMPANY", slug))
        return Analyzed(text, scan, results)

    def _beside_masks(self, text: str, results: list[Any]) -> list[Any]:
        """Results without what is redacted already, so that redacting twice changes nothing."""
        kept = []
        for item in results:
            if _MASK not in text[item.start : item.end]:
                kept.append(item)
                continue
            for part in _UNMASKED.finditer(text, item.start, item.end):
                if any(map(str.isalnum, part[0])):
                    kept.append(self.result(item.entity_type, *part.span(), item.score))
        return kept

    def redact(self, analyzed: Analyzed, again: KnownIndex | None) -> str:
        """The text with typed placeholders, also where one of the names in ``again`` stands."""
        results = analyzed.results
        if again is not None:
            more = [
                self.result(entity, start, end, _SCORES["known"])
                for entity, (start, end) in again.spans(analyzed.scan)
            ]
            results = results + self._beside_masks(analyzed.scan.text, more)
        if not results:
            return analyzed.text
        done = self.anonymizer.anonymize(
            text=analyzed.text,
            analyzer_results=results,
            operators=self.operators,
            conflict_resolution=self.conflict_resolution,
        )
        return str(done.text)


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


class Candidates:
    """The rules that may hit, found by a few look-ups instead of a question to each of them.

    Each rule is one bit; the words and features of a text switch bits on.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = list(rules)
        self._free = 0
        self._of_cue: dict[str, int] = {}
        self._lacking: dict[str, int] = {}
        self._of_digits = [0] * 17
        for number, rule in enumerate(rules):
            bit = 1 << number
            if not rule.cues:
                self._free |= bit
            for cue in rule.cues:
                self._of_cue[cue] = self._of_cue.get(cue, 0) | bit
            for feature in rule.needs:
                self._lacking[feature] = self._lacking.get(feature, 0) | bit
            for digits in range(min(rule.digits, 16), 17):
                self._of_digits[digits] |= bit

    def of(self, scan: Scan) -> Iterator[Rule]:
        """The rules that may hit in a text."""
        found = self._free
        of_cue = self._of_cue
        for word in scan.vocabulary:
            if word in of_cue:
                found |= of_cue[word]
        found &= self._of_digits[min(scan.digits, 16)]
        features = scan.features
        for feature, bits in self._lacking.items():
            if feature not in features:
                found &= ~bits
        lower = scan.lower
        while found:
            low = found & -found
            found ^= low
            rule = self._rules[low.bit_length() - 1]
            if rule.gate:
                for part in rule.gate:
                    if part in lower:
                        break
                else:
                    continue
            if rule.maybe is None or rule.maybe(scan):
                yield rule


def make_scan(text: str, vendor: Vendor, prefilter: bool = True) -> Scan:
    """The shadows of a text, made once for all recognizers."""
    if "<" in text:
        text = PLACEHOLDER.sub(lambda match: _MASK * len(match[0]), text)
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

    class ScanArtifacts(NlpArtifacts):  # type: ignore[misc, unused-ignore]
        """Presidio's artifacts with the scan that the recognizers share."""

        def __init__(self, scan: Scan, known: KnownIndex | None, tokens: Any, engine: Any) -> None:
            super().__init__(
                entities=[],
                tokens=tokens,
                tokens_indices=[],
                lemmas=[],
                nlp_engine=engine,
                language="en",
            )
            self.scan = scan
            self.known = known

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

        def artifacts(self, scan: Scan, known: KnownIndex | None) -> ScanArtifacts:
            return ScanArtifacts(scan, known, None, self)

        def process_text(self, text: str, language: str) -> ScanArtifacts:
            return ScanArtifacts(make_scan(text, Vendor()), None, self._nlp(text), self)

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

    rules = [rule for name, table in RULES.items() if name not in without for rule in table]
    entities_of = {
        "person": {"PERSON"},
        "company": {"COMPANY"},
        "mail_host": {"URL"},
        "known": {"COMPANY", "PERSON", "SECRET", "URL"},
    }
    supported = {rule.entity for rule in rules}.union(
        *(entities for name, entities in entities_of.items() if name not in without)
    )

    candidates = Candidates(rules)

    class TicketRecognizer(EntityRecognizer):  # type: ignore[misc, unused-ignore]
        """All recognizers in one, because each call through presidio has its price."""

        def __init__(self) -> None:
            super().__init__(
                supported_entities=sorted(supported), name="tickets", supported_language="en"
            )

        def load(self) -> None:
            """Nothing to load."""

        def _finds(self, artifacts: ScanArtifacts) -> Iterator[tuple[str, tuple[int, int], float]]:
            scan = artifacts.scan
            for rule in candidates.of(scan) if scan.prefilter else rules:
                for span in rule.spans(scan):
                    yield rule.entity, span, rule.score
            if "person" not in without:
                yield from (("PERSON", span, _SCORES["person"]) for span in persons(scan))
                yield from (("PERSON", span, _SCORES["person"]) for span in names_told(scan))
            if "company" not in without:
                yield from (("COMPANY", span, _SCORES["company"]) for span in companies(scan))
                yield from (("COMPANY", span, _SCORES["company"]) for span in companies_told(scan))
            if "mail_host" not in without:
                yield from (("URL", span, _SCORES["mail_host"]) for span in mail_hosts(scan))
            if ner is not None:
                for entity in ner(scan.text).ents:
                    if (
                        entity.label_ in _NER_LABELS
                        and entity.text.lower() not in scan.vendor.words
                    ):
                        span = (entity.start_char, entity.end_char)
                        yield _NER_LABELS[entity.label_], span, _SCORES["ner"]
            if "known" not in without and artifacts.known is not None:
                score = _SCORES["known"]
                yield from ((entity, span, score) for entity, span in artifacts.known.spans(scan))

        def analyze(
            self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
        ) -> list[RecognizerResult]:
            if not isinstance(nlp_artifacts, ScanArtifacts):
                raise TypeError("the recognizer needs the artifacts of its own engine")
            metadata = {
                RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
                RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            }
            best: dict[tuple[str, tuple[int, int]], float] = {}
            for entity, span, score in self._finds(nlp_artifacts):
                if score > best.get((entity, span), 0.0):
                    best[entity, span] = score
            return [
                RecognizerResult(entity, start, end, score, recognition_metadata=metadata)
                for (entity, (start, end)), score in best.items()
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
        prefilter,
    )
