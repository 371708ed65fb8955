"""What reviewers decided, kept for ever.

What lives here: the store of verdicts (SQLite). What does not: how they turn candidates into the
pairs that train (:mod:`supportbot_dagster.review.reviewed`) and the page on which they are given
(:mod:`supportbot_dagster.review.app`).

Verdicts are appended and never changed; undoing marks those of one step. So several reviewers at
once lose nothing: of two verdicts on one candidate the later one counts, and both are on record.

A verdict is known by content, the hash of the docs section with the teacher's question and answer,
and holds all words that train. So neither another address of the docs nor another teacher loses it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.synthesis.candidate import Candidate, content_key
from supportbot_dagster.synthesis.teacher import Pair

Decision = Literal["keep", "edit", "reject"]
DECISIONS: tuple[Decision, ...] = ("keep", "edit", "reject")
DONE: dict[Decision, str] = {"keep": "kept", "edit": "edited", "reject": "rejected"}
"""What a candidate is after each decision."""

FORMAT = 2
"""Of the file. The first knew candidates by the address of their section, and nothing of the
teacher's words where an edit took their place."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    step TEXT NOT NULL,
    candidate TEXT NOT NULL,
    section TEXT NOT NULL,
    section_hash TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('keep', 'edit', 'reject')),
    question TEXT NOT NULL,
    answer TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    given_at TEXT NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS of_candidate ON verdicts (candidate, undone);
"""
_SINCE_2 = (
    "own_question", "own_answer", "evidence", "style", "reviewer_id", "overridden", "former",
)  # fmt: skip
"""Columns that a file of the first format gets when it is written to."""
_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Reviewer:
    """A person at a browser.

    Args:
        name: as they call themselves; two may have one name.
        id: tells them apart.
    """

    name: str
    id: str


@dataclass(frozen=True)
class Verdict:
    """One reviewer's word on one candidate.

    Args:
        candidate: its key.
        section: address of its section, as the reviewer saw it.
        section_hash: content hash of the section.
        decision: keep it as it is, keep it as edited, or reject it.
        question: the question that trains, the candidate's own unless edited; of a rejected one
            what the reviewer had typed.
        answer: the answer, likewise.
        reviewer: name of who decided.
        reviewer_id: who decided; empty in a verdict of the first format.
        overridden: what the filters said of an edit that was kept in spite of it.
        own: the teacher's pair; None if it is not known, as of an edit of the first format.
        former: key of the candidate in the first format.
    """

    candidate: str
    section: str
    section_hash: str
    decision: Decision
    question: str
    answer: str
    reviewer: str
    reviewer_id: str = ""
    overridden: str = ""
    own: Pair | None = None
    former: str = ""

    @property
    def trains(self) -> bool:
        """Whether its words are a pair to train on."""
        return self.decision != "reject"

    @property
    def pair(self) -> Pair:
        """The pair with the verdict's words."""
        evidence, style = (self.own.evidence, self.own.style) if self.own else ("", "")
        return Pair(self.question, self.answer, evidence, style or "by hand")


def verdict_on(
    candidate: Candidate,
    decision: Decision,
    reviewer: Reviewer,
    question: str = "",
    answer: str = "",
    overridden: str = "",
) -> Verdict:
    """A verdict with the words given, and the candidate's own where a kept one or none are."""
    own = candidate.pair
    kept = decision == "keep"
    return Verdict(
        candidate.key,
        candidate.section.key,
        candidate.section.content_hash,
        decision,
        own.question if kept else question or own.question,
        own.answer if kept else answer or own.answer,
        reviewer.name,
        reviewer.id,
        overridden,
        own,
        candidate.former_key,
    )


class VerdictStore:
    """Verdicts in an SQLite file, safe for several threads and processes.

    Args:
        path: the file; made when the page is opened or the first verdict is given.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes, all or nothing; a file of the first format is brought on.

        Raises:
            UserError: if the file cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(
                sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
            ) as connection:
                self._check_format(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_SCHEMA)
                connection.execute("BEGIN IMMEDIATE")
                for name in _SINCE_2:
                    if name not in _columns(connection):
                        connection.execute(
                            f"ALTER TABLE verdicts ADD COLUMN {name} TEXT NOT NULL DEFAULT ''"
                        )
                connection.execute(
                    "CREATE INDEX IF NOT EXISTS of_identity ON verdicts (reviewer_id, undone)"
                )
                connection.execute(f"PRAGMA user_version = {FORMAT}")
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.DatabaseError, OSError) as error:
            raise UserError(
                f"the verdicts in {self._path} cannot be written ({_said(error)}). Mend the "
                "permissions of the file and its folder, or free space on the disk."
            ) from None

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection | None]:
        """A connection that reads, or None where no verdict was ever given.

        Raises:
            UserError: if the file cannot be read.
        """
        try:
            if not self._path.exists():
                yield None
                return
            with closing(sqlite3.connect(self._path, timeout=_WAIT_SECONDS)) as connection:
                self._check_format(connection)
                connection.row_factory = sqlite3.Row
                # The file is there a moment before its table is.
                yield connection if _columns(connection) else None
        except (sqlite3.DatabaseError, OSError) as error:
            raise UserError(
                f"the verdicts in {self._path} cannot be read ({_said(error)}). Mend the "
                "permissions of the file and its folder, put a copy of the file in its place, or "
                "move it away to begin without verdicts."
            ) from None

    def _check_format(self, connection: sqlite3.Connection) -> None:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise UserError(
                f"the verdicts in {self._path} are of format {found}, and this version reads up to "
                f"{FORMAT}. Install the version that wrote them, or move the file away to begin "
                "without verdicts."
            )

    def check_writable(self) -> None:
        """Find out before anybody judges whether verdicts can be kept.

        Raises:
            UserError: if not.
        """
        with self._change():
            pass

    def give(self, verdicts: Sequence[Verdict]) -> None:
        """Keep verdicts as one step, all or none."""
        step, now = uuid4().hex, datetime.now(UTC).isoformat(timespec="seconds")
        records = [_record(one) | {"step": step, "given_at": now} for one in verdicts]
        with self._change() as connection:
            for record in records:
                connection.execute(
                    f"INSERT INTO verdicts ({', '.join(record)}) "
                    f"VALUES ({', '.join('?' * len(record))})",
                    tuple(record.values()),
                )

    def undo(self, reviewer_id: str, shown: Container[str]) -> list[str]:
        """Take back a reviewer's last step; the keys of its candidates, or none if there is none.

        The verdicts before it, whoever gave them, count again.

        Args:
            reviewer_id: whose step.
            shown: keys of the candidates that may be meant: other months have steps of their own.
        """
        if not reviewer_id:  # a verdict of the first format is nobody's to take back
            return []
        with self._change() as connection:
            steps = connection.execute(
                "SELECT step, candidate FROM verdicts WHERE reviewer_id = ? AND undone = 0 "
                "ORDER BY id DESC",
                (reviewer_id,),
            )
            last = next(((step,) for step, key in steps if key in shown), None)
            if last is None:
                return []
            keys = connection.execute(
                "SELECT candidate FROM verdicts WHERE step = ? ORDER BY id", last
            ).fetchall()
            connection.execute("UPDATE verdicts SET undone = 1 WHERE step = ?", last)
        return [key for (key,) in keys]

    def current(self) -> dict[str, Verdict]:
        """The verdict that counts, by candidate.

        Raises:
            UserError: if the file cannot be read.
        """
        found: dict[str, Verdict] = {}
        known: dict[str, str] = {}  # former key to key
        with self._read() as connection:
            if connection is None:
                return {}
            rows = connection.execute("SELECT * FROM verdicts WHERE undone = 0 ORDER BY id")
            for row in rows:
                verdict = _verdict(dict(row))
                # One candidate, whichever of its keys the verdicts before stand under.
                found.pop(verdict.former, None)
                found.pop(known.get(verdict.candidate, ""), None)
                known[verdict.former] = verdict.candidate
                found[verdict.candidate] = verdict
        return found

    def name_of(self, reviewer_id: str) -> str:
        """The name under which a reviewer gave the last verdict; empty without any."""
        with self._read() as connection:
            if connection is None or "reviewer_id" not in _columns(connection):
                return ""
            row = connection.execute(
                "SELECT reviewer FROM verdicts WHERE reviewer_id = ? ORDER BY id DESC LIMIT 1",
                (reviewer_id,),
            ).fetchone()
        return row["reviewer"] if row else ""

    def version(self) -> str:
        """Fingerprint of all verdicts that count; ``none`` without any."""
        current = self.current()
        if not current:
            return "none"
        parts = [
            [key, one.section_hash, one.decision, *([one.question, one.answer] * one.trains)]
            for key, one in sorted(current.items())
        ]
        return sha256_json(parts)[:16]


def _record(verdict: Verdict) -> dict[str, str]:
    """A verdict as a row of the table."""
    record = {key: value for key, value in vars(verdict).items() if key != "own"}
    if verdict.own is not None:
        record |= {
            "own_question": verdict.own.question,
            "own_answer": verdict.own.answer,
            "evidence": verdict.own.evidence,
            "style": verdict.own.style,
        }
    return record


def _verdict(row: dict[str, str]) -> Verdict:
    """A row of the table as a verdict, whatever its format."""
    names = ("candidate", "section", "section_hash", "question", "answer", "reviewer",
             "reviewer_id", "overridden", "former")  # fmt: skip
    said = {name: row.get(name, "") for name in names}
    decision = next(one for one in DECISIONS if one == row["decision"])
    own = None
    if row.get("own_question"):
        own = Pair(row["own_question"], row["own_answer"], row["evidence"], row["style"])
    elif decision != "edit":
        own = Pair(row["question"], row["answer"], "", "")
        said["former"] = row["candidate"]
        said["candidate"] = content_key(row["section_hash"], row["question"], row["answer"])
    return Verdict(decision=decision, own=own, **said)


def _columns(connection: sqlite3.Connection) -> set[str]:
    """The columns of the table; none without a table."""
    return {row[1] for row in connection.execute("PRAGMA table_info(verdicts)")}


def _said(error: sqlite3.DatabaseError | OSError) -> str:
    return (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
