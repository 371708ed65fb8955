"""Labelled messages: support messages whose personal data is marked.

What lives here: the format, ``{{TYPE|surface}}`` in the text, and the folder of the messages that
the tagger learns from (``taught/``, one JSON object a line with ``id``, ``kind``, ``text`` and
``known_names``). What does not: the messages that redaction is measured on, which stand apart in
``bench/data/redaction`` and are taught to nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from supportbot_dagster.errors import UserError
from supportbot_dagster.jsonl import read_jsonl

TAUGHT = Path(__file__).parent / "taught"
ENTITY_OF = {
    "PERSON": "PERSON",
    "EMAIL": "EMAIL",
    "PHONE": "PHONE",
    "ADDRESS": "ADDRESS",
    "CARD": "CARD",
    "BANK": "IBAN",
    "GOV_ID": "ID",
    "DOB": "DATE_OF_BIRTH",
    "IP": "IP",
    "MAC": "MAC",
    "WALLET": "WALLET",
    "SECRET": "SECRET",
    "REFERENCE": "REFERENCE",
    "COMPANY": "COMPANY",
    "DOMAIN": "URL",
    "WORKSPACE": "WORKSPACE_URL",
    "HANDLE": "HANDLE",
}
"""The marks that a message may hold, and the entity whose placeholder stands for each."""
_MARK = re.compile(r"\{\{([A-Z_]+)\|(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True)
class Message:
    """One labelled message.

    Args:
        id: unique within its file.
        kind: ``ticket``, which holds personal data, or ``look_alike``, which holds none.
        text: the message without its marks.
        known_names: names that the help desk knows from the account.
        spans: start, end and mark of what must disappear, in order.
    """

    id: str
    kind: str
    text: str
    known_names: tuple[str, ...]
    spans: tuple[tuple[int, int, str], ...]


def read_messages(path: Path) -> list[Message]:
    """The messages of a file.

    Raises:
        UserError: if a line is not such a message; names the line, never its text.
    """
    messages = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            text, spans = _unmark(row["text"])
            messages.append(
                Message(row["id"], row["kind"], text, tuple(row.get("known_names", ())), spans)
            )
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{path.name}, line {number}: not a labelled message. It needs id, kind and text, "
                f"and marks of the form {{{{TYPE|value}}}} with one of {', '.join(ENTITY_OF)}."
            ) from error
    return messages


def _unmark(marked: str) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    text, spans, last = "", [], 0
    for match in _MARK.finditer(marked):
        if match[1] not in ENTITY_OF:
            raise KeyError(match[1])
        text += marked[last : match.start()]
        spans.append((len(text), len(text) + len(match[2]), match[1]))
        text += match[2]
        last = match.end()
    return text + marked[last:], tuple(spans)
