"""Teachers: who turns a docs section into customer-phrased questions and a support-voice answer.

What lives here: the :class:`Teacher` protocol, recorded answers (in the output format of a chat
completion, keyed by section hash) and the rule-based teacher that needs no network. What does
not: the teacher that asks a model (:mod:`supportbot_dagster.synthesis.model_teacher`) and the
filters on what a teacher says (:mod:`supportbot_dagster.synthesis.pairs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from supportbot_dagster.errors import UserError
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.synthesis.prompt import TeacherReply, parse_reply
from supportbot_dagster.synthesis.section import SectionText


@dataclass(frozen=True)
class Pair:
    """One question, its answer and the verbatim quote that supports it."""

    question: str
    answer: str
    evidence: str
    style: str


@dataclass(frozen=True)
class Phrased:
    """What a teacher said of a section.

    Args:
        section: the section.
        pairs: its pairs; empty where there is nothing honest to say.
        fault: why the teacher's reply could not be used; empty if it could, or if nobody was asked.
    """

    section: SectionText
    pairs: Sequence[Pair]
    fault: str = ""


@dataclass
class Usage:
    """What a teacher cost, counted while it works.

    Args:
        calls: requests that were answered, those with a useless answer among them.
        cached: sections whose reply was there already.
        prompt_tokens: tokens sent, as the endpoint counts them.
        completion_tokens: tokens received.
        cost: money, in the currency of the prices; None where no prices are known.
    """

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        """Tokens sent and received."""
        return self.prompt_tokens + self.completion_tokens


class Teacher(Protocol):
    """Anything that phrases pairs for sections."""

    @property
    def version(self) -> str:
        """Identifies the teacher in data versions; changes whenever its output may."""
        ...

    @property
    def usage(self) -> Usage:
        """What it has cost so far."""
        ...

    def phrase(self, sections: Sequence[SectionText]) -> Iterator[Phrased]:
        """The pairs of each section, in the order of ``sections``."""
        ...


def pairs_of(reply: TeacherReply) -> list[Pair]:
    """The pairs of a model's reply: each question with the one answer."""
    return [
        Pair(item.question, reply.answer, reply.evidence, item.style) for item in reply.questions
    ]


class RecordedTeacher:
    """Replays recorded chat completions; a section without a recording goes to ``fallback``.

    Args:
        recordings: content hash to the recorded reply.
        fallback: asked when there is no recording.
        version: content hash of the recordings.
    """

    def __init__(
        self, recordings: Mapping[str, TeacherReply], fallback: Teacher, version: str
    ) -> None:
        self._recordings = recordings
        self._fallback = fallback
        self._version = version

    @property
    def version(self) -> str:
        """Hash of the recordings and the fallback's version."""
        return f"recorded-{self._version}+{self._fallback.version}"

    @property
    def usage(self) -> Usage:
        """The fallback's; recordings cost nothing."""
        return self._fallback.usage

    def phrase(self, sections: Sequence[SectionText]) -> Iterator[Phrased]:
        """The recorded pairs, or the fallback's."""
        missing = [one for one in sections if one.content_hash not in self._recordings]
        others = self._fallback.phrase(missing)
        for section in sections:
            reply = self._recordings.get(section.content_hash)
            yield Phrased(section, pairs_of(reply)) if reply is not None else next(others)


def load_recordings(folder: Path) -> dict[str, TeacherReply]:
    """All ``*.jsonl`` recordings of a folder: section hash to reply.

    One line is ``{"section_hash", "section", "completion"}``, where ``completion`` is a chat
    completion whose message content is a :class:`TeacherReply` as JSON.

    Raises:
        UserError: if a line does not fit.
    """
    recordings: dict[str, TeacherReply] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(read_jsonl(path), start=1):
            try:
                content = line["completion"]["choices"][0]["message"]["content"]
                recordings[line["section_hash"]] = parse_reply(content)
            except (KeyError, IndexError, TypeError, ValueError, ValidationError) as error:
                raise UserError(
                    f"{path} line {number} is no recorded completion "
                    f"({type(error).__name__}). Record it again."
                ) from None
    if not recordings:
        raise UserError(f"{folder} holds no recordings (*.jsonl). Mend teacher.recordings.")
    return recordings


_VERB_HEADING = re.compile(
    r"^(add|change|choose|clear|close|connect|copy|create|customi[sz]e|delete|disable|disconnect|"
    r"download|edit|embed|enable|export|find|forward|hide|import|install|invite|join|leave|link|"
    r"make|merge|move|mute|open|rename|renew|require|reset|restore|revoke|save|search|select|"
    r"send|set up|share|show|snooze|sort|start|stop|suspend|switch|transfer|turn off|turn on|undo|"
    r"update|upgrade|use|verify|view|write)\b",
    re.IGNORECASE,
)
_FIRST_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])")
_MARKUP = re.compile(
    r"\[([^\]]{1,300})\]\([^)]{0,2000}\)|[*_`]{1,3}|^#{1,6}\s.*$|^\s*(?:[-*]|\d+\.)\s+", re.M
)


class RuleTeacher:
    """Phrases only what headings, definitions and first sentences plainly give.

    A heading that opens with a verb becomes "How do I ...?"; one that opens with a question word
    is taken as it is; a noun heading becomes "What should I know about ...?". The answer is the
    section's own opening sentences, up to ``max_words``.
    """

    version = "rules-1"

    def __init__(self, max_words: int = 60) -> None:
        self._max_words = max_words
        self.usage = Usage()

    def phrase(self, sections: Sequence[SectionText]) -> Iterator[Phrased]:
        """The pairs of each section."""
        for section in sections:
            yield Phrased(section, self.pairs(section))

    def pairs(self, section: SectionText) -> Sequence[Pair]:
        """Up to three pairs, or none when the section has too little running text."""
        heading = section.heading_path[-1].strip().rstrip("?.:") if section.heading_path else ""
        sentences = _plain_sentences(section.markdown)
        answer: list[str] = []
        for sentence in sentences:
            if len(" ".join([*answer, sentence]).split()) > self._max_words:
                break
            answer.append(sentence)
        if not heading or len(" ".join(answer).split()) < 8:
            return []
        topic = heading[0].lower() + heading[1:] if not heading.isupper() else heading
        page = section.heading_path[0] if len(section.heading_path) > 1 else ""
        if _VERB_HEADING.match(heading):
            questions = [(f"How do I {topic}?", "correct"), (f"how to {topic.lower()}", "search")]
        elif re.match(r"^(how|what|why|when|where|which|who|can|is|are|do|does)\b", heading, re.I):
            questions = [(f"{heading}?", "correct"), (topic.lower(), "search")]
        else:
            questions = [(f"What should I know about {topic}?", "correct")]
            if page:
                questions.append((f"{page.lower()} {topic.lower()}", "search"))
        text = " ".join(answer)
        return [Pair(question, text, sentences[0], style) for question, style in questions]


def _plain_sentences(markdown: str) -> list[str]:
    without_code = re.sub(r"```.*?```", " ", markdown, flags=re.S)
    lines = [
        _MARKUP.sub(lambda match: match.group(1) or "", line).strip()
        for line in without_code.splitlines()
        if not line.lstrip().startswith(("|", "#"))
    ]
    paragraphs = " ".join(
        line if line.endswith((".", "!", "?", ":")) else f"{line}." for line in lines if line
    )
    return [part.strip() for part in _FIRST_SENTENCES.split(paragraphs) if part.strip()]
