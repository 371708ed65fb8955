"""Redaction, measured against stock Presidio on labelled messages: ``python bench/redaction.py``.

What lives here: the measures and the table. What does not: the messages, which stand in
``bench/data/redaction`` and are read neither by the tagger's training nor by those who write rules.

A message's text marks what must disappear as ``{{TYPE|surface}}``. A span counts as found when
every letter and digit of its surface was replaced, whatever the placeholder's type; a ticket leaks
when any of its spans was not found. Words outside all spans that were replaced are counted as lost,
and a look-alike (a message without personal data, full of things that look like it) as altered when
any character changed. Speeds are ratios of processor time on the same texts, in one process and in
turns: the median of five rounds. Each round takes a redactor that has read one message before.
"""

import argparse
import gc
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from supportbot_dagster.tickets.labelled import Message, read_messages

DATA = Path(__file__).parent / "data" / "redaction"
PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]{1,30}>")
WORD = re.compile(r"\w+")


def removed_characters(text: str, redacted: str) -> set[int]:
    """Positions of ``text`` that are no longer in ``redacted``, which differs by placeholders."""
    kept = PLACEHOLDER.split(redacted)
    pattern = "(.*?)".join(re.escape(part) for part in kept)
    match = re.fullmatch(pattern, text, re.DOTALL)
    if match is None:
        raise ValueError("the redacted text is not the text with placeholders in it")
    return {
        place
        for number in range(1, len(kept))
        for place in range(match.start(number), match.end(number))
    }


@dataclass
class Score:
    """Counts over a file."""

    spans: Counter[str]
    found: Counter[str]
    tickets: int = 0
    clean: int = 0
    words: int = 0
    lost: int = 0
    look_alikes: int = 0
    altered: int = 0
    leaking_doubted: int = 0
    clean_doubted: int = 0

    def figures(self) -> dict[str, float]:
        """The figures of the table, as shares."""
        return {
            "spans found": sum(self.found.values()) / sum(self.spans.values()),
            "tickets without a leak": self.clean / self.tickets,
            "other words lost": self.lost / self.words,
            "look-alikes altered": self.altered / self.look_alikes,
        }


Redact = Callable[[Sequence[Message]], list[str]]


def measure(
    messages: Sequence[Message],
    redact: Redact,
    show: str = "",
    doubted: Callable[[str], bool] | None = None,
) -> Score:
    """Redact every message and count.

    Args:
        messages: labelled ones.
        redact: messages to redacted texts.
        show: ``misses`` prints every span that was not found and every word lost.
        doubted: whether a redacted text would be laid before a person.
    """
    score = Score(Counter(), Counter())
    for message, redacted in zip(messages, redact(messages), strict=True):
        gone = removed_characters(message.text, redacted)
        if message.kind == "look_alike":
            score.look_alikes += 1
            score.altered += redacted != message.text
            if show and redacted != message.text:
                print(f"{message.id} ALTERED {redacted!r}")
        leak = False
        inside: set[int] = set()
        for start, end, kind in message.spans:
            inside |= set(range(start, end))
            score.spans[kind] += 1
            hidden = all(
                place in gone for place in range(start, end) if message.text[place].isalnum()
            )
            score.found[kind] += hidden
            leak = leak or not hidden
            if show and not hidden:
                around = message.text[max(0, start - 40) : end + 20]
                print(f"{message.id} MISSED {kind} {message.text[start:end]!r} in {around!r}")
        if message.kind == "ticket":
            score.tickets += 1
            score.clean += not leak
            if doubted is not None:
                doubtful = doubted(redacted)
                score.leaking_doubted += leak and doubtful
                score.clean_doubted += not leak and doubtful
        for word in WORD.finditer(message.text):
            if inside.isdisjoint(range(*word.span())):
                score.words += 1
                if not gone.isdisjoint(range(*word.span())):
                    score.lost += 1
                    if show and message.kind == "ticket":
                        around = message.text[max(0, word.start() - 30) : word.end() + 20]
                        print(f"{message.id} LOST {word[0]!r} in {around!r}")
    return score


def ours() -> tuple[Redact, Callable[[str], bool]]:
    """The project's redactor, without a product of its own, and whether it doubts a result.

    As ``supportbot redact`` runs it: on one core, and on a copy of each text that it has not seen.
    """
    from supportbot_dagster.tickets.redaction import Redactor, redact_rows

    redactor = Redactor()

    def redact(messages: Sequence[Message]) -> list[str]:
        rows = ({"id": m.id, "text": m.text, "known_names": list(m.known_names)} for m in messages)
        return [row["text"] for row in redact_rows(rows, redactor)]

    return redact, lambda redacted: bool(redactor.doubts(redacted))


def stock_presidio() -> Redact:
    """Presidio's default recognizers on a blank English pipeline, that is without a model."""
    import logging

    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_anonymizer import AnonymizerEngine

    class Blank(SpacyNlpEngine):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(ner_model_configuration=NerModelConfiguration())
            self.nlp = {"en": spacy.blank("en")}

        def load(self) -> None:
            """Nothing to download."""

    # Its e-mail recognizer wants a list from the web and complains at length when offline.
    logging.getLogger("tldextract").setLevel(logging.CRITICAL)
    analyzer = AnalyzerEngine(nlp_engine=Blank(), supported_languages=["en"])
    anonymizer = AnonymizerEngine()

    def redact(messages: Sequence[Message]) -> list[str]:
        return [
            anonymizer.anonymize(message.text, analyzer.analyze(message.text, "en")).text
            for message in messages
        ]

    return redact


def speed_ratio(messages: Sequence[Message]) -> float:
    """How many rows this package redacts while stock Presidio redacts one."""
    ratios = []
    for _ in range(ROUNDS):
        seconds = []
        for redact in (ours()[0], stock_presidio()):
            redact(messages[:1])
            gc.collect()  # what the imports left is nobody's
            started = time.process_time()
            redact(messages)
            seconds.append(time.process_time() - started)
        ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios)


ROUNDS = 5
LIMITS = {
    "spans found": (0.95, True),
    "tickets without a leak": (0.75, True),
    "other words lost": (0.015, False),
    "look-alikes altered": (0.10, False),
}


def main() -> None:
    """Print the table; exit with 1 where a limit is missed."""
    # numpy's threads would count as time of this process, and their number is the machine's
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, default=DATA / "unseen_5.jsonl")
    parser.add_argument("--misses", action="store_true", help="print every miss of ours")
    options = parser.parse_args()
    messages = read_messages(options.file)
    redact, doubted = ours()
    score = measure(messages, redact, "misses" if options.misses else "", doubted)
    mine = score.figures()
    peer = measure(messages, stock_presidio()).figures()
    print(f"{options.file.name}: {len(messages)} messages, {sum(score.spans.values())} spans\n")
    print("| | supportbot_dagster | stock Presidio | wanted |\n| --- | --: | --: | --: |")
    failed = False
    for name, (limit, at_least) in LIMITS.items():
        failed |= mine[name] < limit if at_least else mine[name] > limit
        sign = "at least" if at_least else "at most"
        print(f"| {name} | {mine[name]:.1%} | {peer[name]:.1%} | {sign} {limit:.1%} |")
    ratio = speed_ratio(messages)
    failed |= ratio < 5
    print(f"| rows a second, ratio | {ratio:.1f} | 1 | at least 5 |")
    leaking = score.tickets - score.clean
    print(
        f"\nLaid before a person: {score.leaking_doubted} of {leaking} tickets that leak, "
        f"{score.clean_doubted} of {score.clean} that do not "
        f"({score.clean_doubted / max(1, score.clean):.0%})."
    )
    print("\n| type | spans | found |\n| --- | --: | --: |")
    for kind, count in score.spans.most_common():
        print(f"| {kind} | {count} | {score.found[kind] / count:.0%} |")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
