"""Personal data out, typed placeholders in.

What lives here: :class:`Redactor`, the only door through which ticket text leaves this package, the
doubts about a redacted text that a person should look at, and the rows of ``supportbot redact``.
What does not: the recognizers (:mod:`supportbot_dagster.tickets.rules`,
:mod:`supportbot_dagster.tickets.persons`) and the engine that runs them.

Raw text never enters a log line or an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.tickets.engine import Engine, build_engine
from supportbot_dagster.tickets.known import Known, KnownIndex, index_of
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import TOOLS, strip_invisible, words

PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]{1,20}>")
"""A typed placeholder, such as ``<EMAIL>``."""


class Redactor:
    """Replaces personal data by typed placeholders.

    The engine is built once, at the first text (about two seconds).

    Args:
        vendor: what belongs to the product itself and may stay.
        without: names of recognizers to leave out; for tests, which show that each one counts.
    """

    def __init__(self, vendor: Vendor | None = None, without: frozenset[str] = frozenset()) -> None:
        self.vendor = vendor or Vendor()
        self._without = without
        self._engine: Engine | None = None
        self._vendor_words = frozenset({self.vendor.name, *self.vendor.tools} - {""})

    def prepare(self, known: Known) -> KnownIndex | None:
        """Known names made ready for several texts of one ticket; None if nothing is known."""
        return None if known.empty else KnownIndex(known, self._vendor_words)

    def redact(self, text: str, known: KnownIndex | None = None) -> str:
        """Redact one text with names prepared by :meth:`prepare`."""
        text = strip_invisible(text)
        if not text.strip():
            return text
        if self._engine is None:
            self._engine = build_engine(self._without)
        found: set[tuple[str, str]] = set()
        done = self._pass(text, known, found)
        again = self._prepare_found(found)
        return self._pass(done, again, set()) if again else done

    def redact_all(self, texts: Sequence[str], known: KnownIndex | None = None) -> list[str]:
        """Redact the texts of one conversation; a name found in one counts in all of them."""
        if self._engine is None:
            self._engine = build_engine(self._without)
        found: set[tuple[str, str]] = set()
        done = [self._pass(strip_invisible(text), known, found) for text in texts]
        again = self._prepare_found(found)
        return [self._pass(text, again, set()) for text in done] if again else done

    def _prepare_found(self, found: set[tuple[str, str]]) -> KnownIndex | None:
        """Names that context gave away, to be found where no context does."""
        if not found or "known" in self._without:
            return None
        return self.prepare(
            Known(
                names=tuple(sorted(text for entity, text in found if entity == "PERSON")),
                companies=tuple(sorted(text for entity, text in found if entity == "COMPANY")),
                secrets=tuple(sorted(text for entity, text in found if entity == "SECRET")),
            )
        )

    def _pass(self, text: str, known: KnownIndex | None, found: set[tuple[str, str]]) -> str:
        engine = self._engine
        if engine is None or not text.strip():
            return text
        parts = PLACEHOLDER.split(text)
        if len(parts) == 1:
            return engine.redact(text, self.vendor, known, found)
        # what is redacted already stays as it is, so that redacting twice changes nothing
        marks = PLACEHOLDER.findall(text)
        done = [engine.redact(part, self.vendor, known, found) for part in parts]
        return "".join(part + mark for part, mark in zip(done, [*marks, ""], strict=True))

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
            zero-width characters, which are dropped.
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
        yield {"id": row["id"], "text": redactor.redact_text(row["text"], people, (), mails)}


_CAPITAL_PAIR = re.compile(r"(?<![.!?:>\n] )(?<![<\w>/])\b[A-Z][a-z]{2,} [A-Z][a-z]{2,}\b(?! ?>)")
_DOUBTS = (
    ("long number", re.compile(r"(?<![\w.,\-])\d[\d \-]{6,}\d(?![\w.,\-])")),
    ("at sign", re.compile(r"\S@\S")),
    ("password", re.compile(r"\b(?:password|passcode|pin)\b[^<\n]{0,8}[=:][^<\n]{0,3}\w", re.I)),
    ("foreign script", re.compile(r"[\u0370-\u1cff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")),
)


def doubts(redacted: str, vendor: Vendor) -> list[str]:
    """Why a person should look at a redacted text again; empty where nothing catches the eye.

    Returns:
        Reasons without any text of the message: ``long number``, ``at sign``, ``password``,
        ``foreign script``, ``capitalised pair``.
    """
    text = redacted
    for mail in vendor.emails:
        text = text.replace(mail, "")
    reasons = [reason for reason, pattern in _DOUBTS if pattern.search(text)]
    known = words().common | TOOLS | vendor.tools | {vendor.name}
    for match in _CAPITAL_PAIR.finditer(text):
        if not any(word.lower() in known for word in match[0].split()):
            reasons.append("capitalised pair")
            break
    return reasons
