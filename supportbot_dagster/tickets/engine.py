"""Presidio, set up for help-desk text without a language model.

What lives here: the recognizers' and the NLP engine's classes and the two engines built of them.
What does not: what the recognizers look for (``rules.py``, ``known.py``, ``persons.py``,
``companies.py``). The classes are made inside :func:`build_engine`, because presidio and spaCy cost
seconds to import and the code location must load without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from supportbot_dagster.tickets.companies import companies, mail_hosts
from supportbot_dagster.tickets.known import KnownIndex
from supportbot_dagster.tickets.persons import persons
from supportbot_dagster.tickets.rule import Scan
from supportbot_dagster.tickets.rules import RULES
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import fold, shadow

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
_DIGIT = re.compile(r"\d")
_SCORES = {"known": 0.86, "person": 0.72, "company": 0.73, "mail_host": 0.7}


@dataclass(frozen=True)
class Engine:
    """The analyzer and the anonymizer, and the way to call them.

    Args:
        analyzer: presidio's AnalyzerEngine.
        anonymizer: presidio's AnonymizerEngine.
        operators: one replacement per entity.
        conflict_resolution: how the anonymizer treats overlaps.
    """

    analyzer: Any
    anonymizer: Any
    operators: dict[str, Any]
    conflict_resolution: Any

    def redact(
        self, text: str, vendor: Vendor, known: KnownIndex | None, found: set[tuple[str, str]]
    ) -> str:
        """``text`` with typed placeholders; entity and text of names are added to ``found``."""
        if not text.strip():
            return text
        artifacts = self.analyzer.nlp_engine.artifacts(make_scan(text, vendor), known)
        results = self.analyzer.analyze(
            text=artifacts.scan.text, language="en", entities=None, nlp_artifacts=artifacts
        )
        if not results:
            return text
        found.update(
            (item.entity_type, text[item.start : item.end])
            for item in results
            if item.entity_type in {"PERSON", "COMPANY"} and item.score < _SCORES["known"]
        )
        found.update(
            ("SECRET", text[item.start : item.end])
            for item in results
            # long enough not to be a part of ordinary words
            if item.entity_type == "SECRET" and item.end - item.start >= 6
        )
        for item in results:
            slug = text[item.start : item.end].rstrip("/").rpartition("/")[2]
            if item.entity_type == "WORKSPACE_URL" and "." not in slug and "?" not in slug:
                found.add(("COMPANY", slug))
        done = self.anonymizer.anonymize(
            text=text,
            analyzer_results=results,
            operators=self.operators,
            conflict_resolution=self.conflict_resolution,
        )
        return str(done.text)


def make_scan(text: str, vendor: Vendor) -> Scan:
    """The shadows of a text, made once for all recognizers."""
    plain = shadow(text)
    return Scan(plain, fold(text), vendor, _DIGIT.search(plain) is not None)


def build_engine(without: frozenset[str] = frozenset()) -> Engine:
    """Build the engines.

    Args:
        without: names of recognizers to leave out (keys of RULES, or of NAME_RECOGNIZERS).

    Raises:
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

    unknown = without - set(RULES) - set(NAME_RECOGNIZERS)
    if unknown:
        raise ValueError(f"no recognizer is called {', '.join(sorted(unknown))}")

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

    class TicketRecognizer(EntityRecognizer):  # type: ignore[misc, unused-ignore]
        """One named recognizer: a table of rules, or a function that finds names."""

        def __init__(self, name: str, entities: list[str]) -> None:
            super().__init__(supported_entities=entities, name=name, supported_language="en")
            self._recognizer = name
            self._rules = RULES.get(name, [])

        def load(self) -> None:
            """Nothing to load."""

        def _finds(self, artifacts: ScanArtifacts) -> Iterator[tuple[str, tuple[int, int], float]]:
            scan = artifacts.scan
            for rule in self._rules:
                for span in rule.spans(scan):
                    yield rule.entity, span, rule.score
            score = _SCORES.get(self._recognizer, 0.0)
            if self._recognizer == "person":
                yield from (("PERSON", span, score) for span in persons(scan))
            elif self._recognizer == "company":
                yield from (("COMPANY", span, score) for span in companies(scan))
            elif self._recognizer == "mail_host":
                yield from (("URL", span, score) for span in mail_hosts(scan))
            elif self._recognizer == "known" and artifacts.known is not None:
                yield from ((entity, span, score) for entity, span in artifacts.known.spans(scan))

        def analyze(
            self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
        ) -> list[RecognizerResult]:
            if not isinstance(nlp_artifacts, ScanArtifacts):
                raise TypeError("the recognizer needs the artifacts of its own engine")
            metadata = {
                RecognizerResult.RECOGNIZER_NAME_KEY: self._recognizer,
                RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            }
            return [
                RecognizerResult(entity, start, end, score, recognition_metadata=metadata)
                for entity, (start, end), score in self._finds(nlp_artifacts)
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
    entities_of = {name: sorted({rule.entity for rule in rules}) for name, rules in RULES.items()}
    entities_of |= {
        "person": ["PERSON"],
        "company": ["COMPANY"],
        "mail_host": ["URL"],
        "known": ["COMPANY", "PERSON", "SECRET", "URL"],
    }
    for name, entities in entities_of.items():
        if name not in without:
            registry.add_recognizer(TicketRecognizer(name, entities))
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
    return Engine(analyzer, anonymizer, operators, ConflictResolutionStrategy.REMOVE_INTERSECTIONS)
