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
from supportbot_dagster.tickets.engine import Engine, build_engine, make_scan
from supportbot_dagster.tickets.known import Known, KnownIndex, index_of
from supportbot_dagster.tickets.persons import looks_like_name, reader_of
from supportbot_dagster.tickets.rule import Scan, Token
from supportbot_dagster.tickets.rules_value import looks_kept
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import COMMON, GIVEN, THING, strip_invisible


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
        self._vendor_words = frozenset({self.vendor.name, *self.vendor.tools} - {""})

    def prepare(self, known: Known) -> KnownIndex | None:
        """Known names made ready for several texts of one ticket; None if nothing is known."""
        return None if known.empty else KnownIndex(known, self._vendor_words)

    def redact(self, text: str, known: KnownIndex | None = None) -> str:
        """Redact one text with names prepared by :meth:`prepare`."""
        return self.redact_all([text], known)[0]

    def redact_all(self, texts: Sequence[str], known: KnownIndex | None = None) -> list[str]:
        """Redact the texts of one conversation; a name found in one counts in all of them."""
        if self._engine is None:
            self._engine = build_engine(self._without, self._prefilter, self._ner_model)
        engine = self._engine
        found: set[tuple[str, str]] = set()
        plain = [strip_invisible(text) for text in texts]
        analyzed = engine.analyze_all(plain, self.vendor, known, found)
        again = self._prepare_found(found)
        return [engine.redact(one, again) for one in analyzed]

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
_NUMBER = re.compile(
    r"(?<![\w.,:/@\-+$])(?=[\w\-/]*\d[\w\-/]*\d)[A-Za-z0-9][\w\-/]{2,20}(?![\w%@=(]|[.:]\d)"
)
_KEY = re.compile(
    r"[A-Z]{2,6}-\d{1,5}|[A-Z]{1,4}\d{4}|(?:CVE|KB|RFC|ISO|SHA|UTF|E|ERR|TL)-?[\d\-]+[A-Z]?|"
    r"[\d:TZ.+\-]+"
)
_PLAIN_DATE = re.compile(
    r"(?:19|20)\d\d[- ]\d\d[- ]\d\d(?:[- ]\d\d)?|(?:19|20)\d\d ?- ?(?:19|20)\d\d|\d{1,3}(?: \d{3})+"
)


def doubts(redacted: str, vendor: Vendor) -> list[str]:
    """Why a person should look at a redacted text again; empty where nothing catches the eye.

    Returns:
        Reasons without any text of the message: ``long number``, ``at sign``, ``password``,
        ``foreign script``, ``code``, ``number``, ``capitalised pair``, ``name``.
    """
    text = redacted
    for mail in vendor.emails:
        text = text.replace(mail, "")
    scan = make_scan(text, vendor)
    reasons = [
        reason
        for reason, pattern in _DOUBTS
        if any(
            not (reason == "code" and (_KEY.fullmatch(match[0]) or scan.speaks_of_docs))
            and not (reason == "long number" and _PLAIN_DATE.fullmatch(match[0]))
            for match in pattern.finditer(scan.text)
        )
    ]
    if any(
        looks_kept(scan, match.start(), match[0])
        for match in _NUMBER.finditer(scan.text)
        if "long number" not in reasons and "code" not in reasons
    ):
        reasons.append("number")
    reason = _doubtful_name(scan)
    return [*reasons, reason] if reason else reasons


def _doubtful_name(scan: Scan) -> str:
    """Whether names are left, or capitals that vocabulary does not explain."""
    reader = reader_of(scan)
    products = reader.products()
    before: Token | None = None
    single = False
    for token in scan.tokens:
        kind = token.kind
        known = kind & (COMMON | THING)
        if token.code or len(token.text) < 3 or token.low in products:
            pass
        elif token.cap and looks_like_name(token):
            if not known:
                if (
                    before is not None
                    and token.gap == " "
                    and before.cap
                    and not before.first
                    and not before.kind & (COMMON | THING)
                ):
                    return "capitalised pair"
                # a word that is in no list may also begin a sentence with a slip of the pen
                single = single or kind != 0 or not token.first or token.gap.endswith('"')
            elif kind & GIVEN and not kind & THING and not token.first:
                # "Per" amid small letters; "Mark All Read" is a label
                single = single or (before is not None and not before.cap and token.gap == " ")
        elif kind & GIVEN and not known and token.text.islower():
            single = True
        before = token
    return "name" if single else ""
