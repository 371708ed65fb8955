"""What reviewers decided, kept for ever and applied to every synthesis.

What lives here: the store of verdicts (SQLite) and how they turn candidates into the pairs that
train. What does not: the page on which they are given (:mod:`supportbot_dagster.review.app`).

Verdicts are appended and never changed; undoing marks those of one step. So several reviewers at
once lose nothing: of two verdicts on one candidate the later one counts, and both are on record.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.synthesis.candidate import Candidate

Decision = Literal["keep", "edit", "reject"]
DECISIONS: tuple[Decision, ...] = ("keep", "edit", "reject")
DONE: dict[Decision, str] = {"keep": "kept", "edit": "edited", "reject": "rejected"}
"""What a candidate is after each decision."""

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
CREATE INDEX IF NOT EXISTS of_reviewer ON verdicts (reviewer, undone);
"""
_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Verdict:
    """One reviewer's word on one candidate.

    Args:
        candidate: its key.
        section: key of its section.
        section_hash: content hash of the section as the reviewer saw it.
        decision: keep it as it is, keep it as edited, or reject it.
        question: the question that trains; the candidate's own unless edited.
        answer: the answer that trains.
        reviewer: who decided.
    """

    candidate: str
    section: str
    section_hash: str
    decision: Decision
    question: str
    answer: str
    reviewer: str

    def fits(self, candidate: Candidate) -> bool:
        """Whether the section is as it was; else the verdict is stale."""
        return self.section_hash == candidate.section.content_hash


def verdict_on(
    candidate: Candidate,
    decision: Decision,
    reviewer: str,
    question: str = "",
    answer: str = "",
) -> Verdict:
    """A verdict with the candidate's own words, unless it is an edit."""
    edited = decision == "edit"
    return Verdict(
        candidate.key,
        candidate.section.key,
        candidate.section.content_hash,
        decision,
        question if edited else candidate.pair.question,
        answer if edited else candidate.pair.answer,
        reviewer,
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
        """A transaction that writes, all or nothing.

        Raises:
            UserError: if the file cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(
                sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
            ) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_SCHEMA)
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.DatabaseError, OSError) as error:
            raise UserError(
                f"the verdicts in {self._path} cannot be written ({_said(error)}). Mend the "
                "permissions of the file and its folder, or free space on the disk."
            ) from None

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
        with self._change() as connection:
            connection.executemany(
                "INSERT INTO verdicts (step, candidate, section, section_hash, decision, question, "
                "answer, reviewer, given_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (step, one.candidate, one.section, one.section_hash, one.decision,
                     one.question, one.answer, one.reviewer, now)
                    for one in verdicts
                ],
            )  # fmt: skip

    def undo(self, reviewer: str, shown: Container[str]) -> list[str]:
        """Take back a reviewer's last step; the keys of its candidates, or none if there is none.

        The verdicts before it, whoever gave them, count again.

        Args:
            reviewer: whose step.
            shown: keys of the candidates that may be meant: other months have steps of their own.
        """
        with self._change() as connection:
            steps = connection.execute(
                "SELECT step, candidate FROM verdicts WHERE reviewer = ? AND undone = 0 "
                "ORDER BY id DESC",
                (reviewer,),
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
        try:
            if not self._path.exists():
                return {}
            with closing(sqlite3.connect(self._path, timeout=_WAIT_SECONDS)) as connection:
                # The file is there a moment before its table is.
                if not connection.execute(
                    "SELECT 1 FROM sqlite_master WHERE name = 'verdicts'"
                ).fetchone():
                    return {}
                rows = connection.execute(
                    "SELECT candidate, section, section_hash, decision, question, answer, reviewer "
                    "FROM verdicts WHERE undone = 0 ORDER BY id"
                ).fetchall()
        except (sqlite3.DatabaseError, OSError) as error:
            raise UserError(
                f"the verdicts in {self._path} cannot be read ({_said(error)}). Mend the "
                "permissions of the file and its folder, put a copy of the file in its place, or "
                "move it away to begin without verdicts."
            ) from None
        return {row[0]: Verdict(*row) for row in rows}

    def version(self) -> str:
        """Fingerprint of all verdicts that count; ``none`` without any."""
        current = self.current()
        if not current:
            return "none"
        parts = [
            [key, one.section_hash, one.decision, one.question, one.answer]
            for key, one in sorted(current.items())
        ]
        return sha256_json(parts)[:16]


def _said(error: sqlite3.DatabaseError | OSError) -> str:
    return (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())


@dataclass(frozen=True)
class Reviewed:
    """Candidates after review.

    Args:
        candidates: all of them, those edited with their new words; ``reason`` is empty for those
            that train.
        counts: how many were kept, edited and rejected by hand, how many verdicts are stale, and
            how many candidates that the filters passed wait for a verdict.
    """

    candidates: list[Candidate]
    counts: dict[str, int]

    @property
    def kept_share(self) -> float | None:
        """Share of the judged candidates that train, or None where none was judged."""
        kept = self.counts["kept"] + self.counts["edited"]
        judged = kept + self.counts["rejected"]
        return kept / judged if judged else None


def apply_verdicts(
    candidates: Sequence[Candidate], verdicts: Mapping[str, Verdict], *, required: bool
) -> Reviewed:
    """Let verdicts decide over filters.

    Args:
        candidates: in their order.
        verdicts: those that count, by candidate.
        required: whether only what a person approved may train.
    """
    counts = dict.fromkeys(("kept", "edited", "rejected", "stale", "waiting"), 0)
    done: list[Candidate] = []
    for candidate in candidates:
        verdict = verdicts.get(candidate.key)
        if verdict is not None and not verdict.fits(candidate):
            counts["stale"] += 1
            verdict = None
        if verdict is None:
            if not candidate.reason:
                counts["waiting"] += 1
                if required:
                    candidate = replace(candidate, reason="not reviewed yet")
            done.append(candidate)
            continue
        counts[DONE[verdict.decision]] += 1
        reason = "rejected by hand" if verdict.decision == "reject" else ""
        pair = replace(candidate.pair, question=verdict.question, answer=verdict.answer)
        done.append(Candidate(candidate.section, pair, reason))
    return Reviewed(done, counts)
