"""Personal data out, typed placeholders in.

What lives here: :class:`Redactor`, the only door through which ticket text leaves this package, the
doubts about a redacted text that a person should look at, and the rows of ``supportbot redact``.
What does not: the recognizers (:mod:`supportbot_dagster.tickets.rules`,
:mod:`supportbot_dagster.tickets.tagger`) and the engine that runs them.

Raw text never enters a log line or an exception.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.engine import Analyzed, Engine, build_engine, make_scan
from supportbot_dagster.tickets.known import Known, KnownIndex, index_of, may_recur, without_vendor
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import strip_invisible

T = TypeVar("T")


class Redactor:
    """Replaces personal data by typed placeholders.

    The engine is built once, at the first text (about two seconds).

    Args:
        vendor: what belongs to the product itself and may stay.
        without: names of recognizers to leave out; for tests, which show that each one counts.
        prefilter: whether rules that cannot hit are skipped; off in the test that shows that this
            changes nothing.
        ner_model: name or folder of an installed spaCy pipeline whose persons and organisations
            count as well; empty for none. Slower, and the results depend on the model.
    """

    def __init__(
        self,
        vendor: Vendor | None = None,
        without: frozenset[str] = frozenset(),
        prefilter: bool = True,
        ner_model: str = "",
    ) -> None:
        self.vendor = vendor or Vendor()
        self._without = without
        self._prefilter = prefilter
        self._ner_model = ner_model
        self._engine: Engine | None = None
        self._building = threading.Lock()

    def prepare(self, known: Known) -> KnownIndex | None:
        """Known names made ready for several texts of one ticket; None if nothing is known.

        What is the vendor's own among them is left out.
        """
        known = without_vendor(known, self.vendor)
        return None if known.empty else KnownIndex(known, self.vendor.words)

    @property
    def _ready(self) -> Engine:
        if self._engine is None:
            with self._building:
                if self._engine is None:
                    self._engine = build_engine(self._without, self._prefilter, self._ner_model)
        return self._engine

    def redact(self, text: str, known: KnownIndex | None = None) -> str:
        """Redact one text with names prepared by :meth:`prepare`."""
        return self.redact_all([text], known)[0]

    def redact_all(self, texts: Sequence[str], known: KnownIndex | None = None) -> list[str]:
        """Redact the texts of one conversation; a name found in one counts in all of them."""
        return self.redact_many([(texts, known)])[0]

    def redact_many(
        self, conversations: Sequence[tuple[Sequence[str], KnownIndex | None]]
    ) -> list[list[str]]:
        """Redact many conversations, which is faster than one after the other.

        Args:
            conversations: the texts of each, and what is known of it.
        """
        engine = self._ready
        plain = [[strip_invisible(text) for text in texts] for texts, _ in conversations]
        reads = engine.read_all([text for texts in plain for text in texts], self.vendor)
        counts = [len(texts) for texts in plain]
        known = [names for texts, names in conversations for _ in texts]
        analyzed = engine.analyze_all(reads, known)
        again: list[KnownIndex | None] = []
        for one in _shares(analyzed, counts):
            again += [self._prepare_found(engine.found(one), one)] * len(one)
        return _shares(engine.redact_all(analyzed, again), counts)

    def is_clean_link(self, url: str, known: KnownIndex | None = None) -> bool:
        """Whether neither the rules nor what is known find anything in a URL of the vendor.

        The tagger has no say: a path such as ``/help/grace-period`` has no words around it.
        """
        scan = make_scan(strip_invisible(url), self.vendor)
        if self._ready.rules.finds(scan):
            return False
        return known is None or not any(known.spans(scan))

    def doubts(self, redacted: str) -> list[str]:
        """Why a person should look at a redacted text again; empty where nothing is doubtful.

        Returns:
            Reasons without any text of the message: ``long number``, ``at sign``, ``password``,
            ``foreign script``, ``code``, or ``perhaps`` and an entity that the tagger is not sure
            about.
        """
        text = redacted
        for mail in self.vendor.emails:
            text = text.replace(mail, "")
        engine = self._ready
        read = make_scan(text, self.vendor)
        reasons = [
            reason
            for reason, pattern in _DOUBTS
            if any(
                not (reason == "code" and (_KEY.fullmatch(match[0]) or read.speaks_of_docs))
                and not (reason == "long number" and _PLAIN_DATE.fullmatch(match[0]))
                for match in pattern.finditer(read.text)
            )
        ]
        unsure = engine.unsure(text, self.vendor, _UNSURE)
        return [*reasons, *(f"perhaps {entity}" for entity in unsure)]

    def _prepare_found(
        self, found: set[tuple[str, str]], analyzed: Sequence[Analyzed]
    ) -> KnownIndex | None:
        """Names that context gave away, to be found where no context does; None for nowhere."""
        found = {
            (entity, text)
            for entity, text in found
            if len(text) <= _LONGEST and any(may_recur(text, one.rest) for one in analyzed)
        }
        if not found or "known" in self._without:
            return None
        return self.prepare(
            Known(
                names=tuple(sorted(text for entity, text in found if entity == "PERSON")),
                companies=tuple(sorted(text for entity, text in found if entity == "COMPANY")),
                secrets=tuple(sorted(text for entity, text in found if entity == "SECRET")),
            )
        )

    def redact_text(
        self,
        text: str,
        known_names: Iterable[str] = (),
        known_companies: Iterable[str] = (),
        known_emails: Iterable[str] = (),
    ) -> str:
        """Redact one text.

        Args:
            text: any text.
            known_names: persons that the text may mention, as written in the help desk.
            known_companies: their companies.
            known_emails: their mailboxes.

        Returns:
            The text with placeholders such as ``<PERSON>``; the rest is unchanged, apart from
            characters that show nothing, which are dropped (:func:`.words.strip_invisible`).
        """
        known = index_of(known_names, known_companies, known_emails)
        return self.redact(text, self.prepare(known))


def redact_rows(rows: Iterable[Any], redactor: Redactor) -> Iterator[dict[str, Any]]:
    """The rows of ``supportbot redact``: the same ids in the same order, with redacted text.

    A row has ``id``, ``text`` and, if it wants, ``known_names`` (persons or mailboxes).

    Raises:
        UserError: if a row lacks ``id`` or ``text`` or has one of the wrong type; the message names
            the row's number, counted from 1, and never its content.
    """
    batch: list[tuple[Any, list[str], KnownIndex | None]] = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UserError(f"row {number} is not an object. Write one JSON object a line.")
        for key in ("id", "text"):
            if key not in row:
                raise UserError(f"row {number} has no {key!r}. Every line needs id and text.")
        if not isinstance(row["text"], str):
            raise UserError(f"row {number}: text is not a string. Write the message as a string.")
        names = row.get("known_names") or []
        if not isinstance(names, Sequence) or isinstance(names, str | bytes):
            raise UserError(f"row {number}: known_names is not a list. Write a list of strings.")
        if not all(isinstance(name, str) for name in names):
            raise UserError(f"row {number}: known_names holds a non-string. Write strings.")
        people = [name for name in names if "@" not in name]
        mails = [name for name in names if "@" in name]
        known = redactor.prepare(index_of(people, (), mails))
        batch.append((row["id"], [row["text"]], known))
        if len(batch) == _AT_ONCE:
            yield from _redacted(batch, redactor)
            batch = []
    yield from _redacted(batch, redactor)


def _redacted(
    batch: Sequence[tuple[Any, list[str], KnownIndex | None]], redactor: Redactor
) -> Iterator[dict[str, Any]]:
    done = redactor.redact_many([(texts, known) for _, texts, known in batch])
    for (row_id, _, _), texts in zip(batch, done, strict=True):
        yield {"id": row_id, "text": texts[0]}


def _shares(items: Sequence[T], counts: Sequence[int]) -> list[list[T]]:
    """The first of ``counts`` items, then the next, and so on."""
    each = iter(items)
    return [list(islice(each, count)) for count in counts]


_AT_ONCE = 128
"""Rows that are read together."""
_LONGEST = 80
"""Characters of a found value that is looked for elsewhere; no name or password is longer."""
_UNSURE = 0.06
"""Chance from which a word that stays is doubtful."""
_DOUBTS = (
    ("long number", re.compile(r"(?<![\w.,\-])\d[\d \-]{6,}\d(?![\w.,\-])")),
    ("at sign", re.compile(r"\S@(?!example\.(?:com|org|net)\b)\S")),
    ("password", re.compile(r"\b(?:password|passcode|pin)\b[^<\n]{0,8}[=:][^<\n]{0,3}\w", re.I)),
    ("foreign script", re.compile(r"[\u0370-\u1cff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")),
    (
        "code",
        re.compile(
            r"(?<![\w.\-/:=<@#])(?=[\w\-/]*[A-Z])(?=(?:[\w\-/]*\d){4})[A-Za-z0-9]+(?:[\-/_][A-Za-z0"
            r"-9]+)*(?![\w.=(])"
        ),
    ),
)
_KEY = re.compile(
    r"[A-Z]{2,6}-\d{1,5}|[A-Z]{1,4}\d{4}|(?:CVE|KB|RFC|ISO|SHA|UTF|E|ERR|TL)-?[\d\-]+[A-Z]?|"
    r"[\d:TZ.+\-]+"
)
_PLAIN_DATE = re.compile(
    r"(?:19|20)\d\d[- ]\d\d[- ]\d\d(?:[- ]\d\d)?|(?:19|20)\d\d ?- ?(?:19|20)\d\d|\d{1,3}(?: \d{3})+"
)
