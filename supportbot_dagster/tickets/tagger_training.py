"""How the tagger is trained: ``python -m supportbot_dagster.tickets.tagger_training``.

What lives here: changed copies of the labelled messages (other names, other numbers, other case,
slips, what is redacted already), the network in torch, its training by wider ones, and the choice
of thresholds.
What does not: the messages (:mod:`.labelled`) and what the trained network does
(:mod:`.tagger`), whose tokens and features are used here as they are.

A changed copy keeps its labels, so the tagger learns the words around a value rather than the
value. The rules run on each copy, as they will on a ticket.

Several wider networks are trained first, and the tagger learns from the mean of what they say as
well as from the labels: it comes near to all of them together (Hinton et al., "Distilling the
Knowledge in a Neural Network", 2015) and costs what one small network costs. They know the messages
themselves by heart, so what they have to tell is what they make of mixtures: pieces of several
messages, and messages with words of others.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_text
from supportbot_dagster.tickets.engine import make_scan, rule_set
from supportbot_dagster.tickets.labelled import ENTITY_OF, TAUGHT, Message, read_messages
from supportbot_dagster.tickets.tagger import (
    BUCKETS,
    LABELS,
    MASK,
    WEIGHTS,
    Find,
    decode,
    own_features,
    place_features,
    rule_features,
    split,
    tokens_of,
    within,
)
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import SURNAME, shadow, words

COPIES = 12
"""Changed copies of each message, beside the message itself."""
WIDTH, LAYERS = 64, 4
EPOCHS = 16
HOLD_OUT = 0.05
"""Share of the messages that only show how well the others were learnt."""
BATCH = 32
RATE = 2e-3
DROPOUT = 0.15
TEACHERS, TEACHER_WIDTH, TEACHER_DROPOUT = 4, 96, 0.3
TAUGHT_SHARE = 0.7
"""Share of the loss that the teachers' chances have in it, and the labels have not."""
MIXTURES = 6
"""Mixtures for each message; an epoch sees as many of them as there are messages."""
UNKNOWN = -1
"""The label of the tokens of a mixture."""
FREQUENT = 2
"""How often a token stands in the messages that the tagger knows from the start."""
SLOTS = 32
"""Most features of one token."""
PLACE_SLOTS = 5
"""How many of them say where it stands; they follow the word itself."""
_LONGEST_MIXTURE = 600
_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+|\n+|$)")
_MARK = re.compile(r"[,.!?](?= |$)")
_NAME_PART = re.compile(r"([^\W\d_](?:[^\W\d_]|['’-])*)")
_PARTICLES = frozenset("van von der den de da dos bin al el ibn".split())


@dataclass
class Lesson:
    """One text to learn from, encoded.

    Args:
        source: id of its message.
        kind: of its message; ``mixture`` for one that nobody wrote.
        text: the shadow of the text.
        spans: start, end and mark.
        finds: what the rules found.
        tokens: start and end of the tokens.
        rows: tokens x ``SLOTS`` features, the word's own row first.
        rules: tokens x 9 features of finds.
        labels: a label for each token; :data:`UNKNOWN` where nobody gave one.
    """

    source: str
    kind: str
    text: str
    spans: tuple[tuple[int, int, str], ...]
    finds: list[Find]
    tokens: list[tuple[int, int]]
    rows: Any
    rules: Any
    labels: Any


class Changes:
    """Changed copies of messages.

    Args:
        messages: whose names and companies the copies take, beside the word lists'.
        seed: of the choice.
    """

    def __init__(self, messages: Sequence[Message], seed: int) -> None:
        self._random = random.Random(seed)
        lists = words()
        self._first = [name.title() for name in sorted(lists.given_names | lists.ambiguous_names)]
        self._last = [name.title() for name, bits in lists.kinds.items() if bits & SURNAME]
        self._companies: list[str] = []
        for message in messages:
            for start, end, mark in message.spans:
                value = message.text[start:end]
                parts = value.split()
                if mark == "COMPANY":
                    self._companies.append(value)
                elif mark == "PERSON" and len(parts) > 1 and min(map(len, parts)) > 2:
                    # twice: they are more varied than the lists
                    self._first += [parts[0].title()] * 2
                    self._last += [parts[-1].title()] * 2

    def copy(self, message: Message) -> tuple[str, tuple[tuple[int, int, str], ...]]:
        """Text and spans of a changed copy."""
        if self._random.random() < 0.15:
            return message.text, message.spans
        return self._reworded(*self._revalued(message))

    def _revalued(self, message: Message) -> tuple[str, tuple[tuple[int, int, str], ...]]:
        text, spans, last = "", [], 0
        names: dict[str, str] = {}
        masks = self._random.random() < 0.1
        for start, end, mark in message.spans:
            text += message.text[last:start]
            if masks and self._random.random() < 0.6:
                text += MASK * (len(mark) + 2)
            else:
                value = self._value(message.text[start:end], mark, names)
                spans.append((len(text), len(text) + len(value), mark))
                text += value
            last = end
        return text + message.text[last:], tuple(spans)

    def _reworded(
        self, text: str, spans: tuple[tuple[int, int, str], ...]
    ) -> tuple[str, tuple[tuple[int, int, str], ...]]:
        """Another case, fewer marks, fewer lines or a slip of the pen; the length stays."""
        chance = self._random.random()
        other = text
        if chance < 0.10:
            other = text.lower()
        elif chance < 0.13:
            other = text.upper()
        elif chance < 0.19:
            taken = {at for start, end, _ in spans for at in range(start, end)}
            other = _MARK.sub(lambda mark: mark[0] if mark.start() in taken else " ", text)
        elif chance < 0.24:
            other = text.replace("\n", " ")
        if len(other) != len(text):  # as "ß" in upper case
            other = text
        if self._random.random() < 0.3:
            other = self._slips(other, spans)
        return other, spans

    def _slips(self, text: str, spans: tuple[tuple[int, int, str], ...]) -> str:
        chars = list(text)
        taken = {at for start, end, _ in spans for at in range(start, end)}
        for _ in range(1 + len(text) // 120):
            at = self._random.randrange(max(1, len(chars) - 1))
            pair = {at, at + 1}
            if at + 1 < len(chars) and not pair & taken and (text[at] + text[at + 1]).isalpha():
                chars[at], chars[at + 1] = chars[at + 1], chars[at]
        return "".join(chars)

    def _value(self, value: str, mark: str, names: dict[str, str]) -> str:
        draw = self._random
        if mark == "PERSON":
            return self._name(value, names)
        if mark == "COMPANY" and draw.random() < 0.7:
            return _cased(draw.choice(self._companies), value)
        if mark in {"PHONE", "CARD", "ADDRESS"}:
            return self._characters(value, letters=0.0)
        if mark in {"REFERENCE", "SECRET", "WALLET", "MAC", "BANK", "GOV_ID"}:
            if mark == "SECRET" and re.fullmatch(r"[a-z ]+", value):
                return value  # words that someone can remember
            letters = 0.0 if mark == "REFERENCE" and draw.random() < 0.5 else 0.6
            return self._characters(value, letters)
        return value

    def _name(self, value: str, names: dict[str, str]) -> str:
        draw = self._random
        parts = _NAME_PART.split(value)
        places = range(1, len(parts), 2)
        for number, at in enumerate(places):
            part = parts[at]
            if len(part) <= 2 or (len(places) > 1 and part in _PARTICLES):
                continue
            key = part.lower()
            if key not in names:
                first = number == 0 and (len(places) > 1 or draw.random() < 0.85)
                other = draw.choice(self._first if first else self._last)
                names[key] = other if draw.random() < 0.9 else part
            parts[at] = _cased(names[key], part)
        return "".join(parts)

    def _characters(self, value: str, letters: float) -> str:
        draw = self._random
        hexadecimal = re.fullmatch(r"[0-9a-fA-F:\-x]+", value) is not None
        result = []
        for char in value:
            if char.isdecimal():
                result.append(draw.choice("0123456789"))
            elif char.isascii() and char.isalpha() and char != "x" and draw.random() < letters:
                pool = "abcdef" if hexadecimal else "abcdefghijklmnopqrstuvwxyz"
                result.append(_cased(draw.choice(pool), char))
            else:
                result.append(char)
        return "".join(result)


class Mixer:
    """Texts that nobody wrote: sentences of several messages, or a message with other words.

    Args:
        messages: to take them from.
        seed: of the choice.
    """

    def __init__(self, messages: Sequence[Message], seed: int) -> None:
        self._random = random.Random(seed)
        self._messages = messages
        self._changes = Changes(messages, seed)
        self._words: dict[str, list[str]] = {}
        for message in messages:
            for word in _WORD.findall(message.text):
                self._words.setdefault(_case(word), []).append(word)

    def mixture(self) -> str:
        """One text of at most ``_LONGEST_MIXTURE`` characters, without labels."""
        draw = self._random
        if draw.random() < 0.5:
            text = self._sentences()
            share = 0.1 if draw.random() < 1 / 3 else 0.0
        else:
            text, _ = self._changes.copy(draw.choice(self._messages))
            share = draw.choice((0.1, 0.2, 0.3))
        return _WORD.sub(
            lambda word: self._other(word[0]) if draw.random() < share else word[0], text
        )[:_LONGEST_MIXTURE]

    def _sentences(self) -> str:
        draw = self._random
        parts: list[str] = []
        for message in draw.choices(self._messages, k=draw.choice((2, 2, 3))):
            text, _ = self._changes.copy(message)
            sentences = [found[0] for found in _SENTENCE.finditer(text) if found[0].strip()]
            if sentences:
                first = draw.randrange(len(sentences))
                some = sentences[first : first + draw.choice((1, 1, 2, 3))]
                parts += [sentence.strip(" ") for sentence in some]
        draw.shuffle(parts)
        return draw.choice((" ", "\n", " ")).join(parts)

    def _other(self, word: str) -> str:
        """A word of another message, of like case."""
        return self._random.choice(self._words[_case(word)])


def _case(word: str) -> str:
    if len(word) > 1 and word.isupper():
        return "capitals"
    return "capital" if word[0].isupper() else "small"


def _cased(new: str, old: str) -> str:
    if old.islower():
        return new.lower()
    return new.upper() if old.isupper() and (len(old) > 1 or len(new) == 1) else new


@cache
def _rules() -> Any:
    return rule_set()


_own_features = lru_cache(200_000)(own_features)
_place_features = cache(place_features)


def _lessons(
    messages: Sequence[Message], everyone: Sequence[Message], copies: int, seed: int
) -> list[list[Lesson]]:
    """The lessons of each message, the unchanged one first."""
    changes = Changes(everyone, seed)
    lessons = []
    for message in messages:
        texts = [(message.text, message.spans)]
        texts += [changes.copy(message) for _ in range(copies)]
        lessons.append([_lesson(message, text, spans) for text, spans in texts])
    return lessons


def _mixtures(messages: Sequence[Message], count: int, seed: int) -> list[Lesson]:
    """Lessons without labels."""
    mixer = Mixer(messages, seed)
    lessons = []
    for number in range(count):
        text = mixer.mixture()
        lesson = _lesson(Message(f"{seed}-{number}", "mixture", text, (), ()), text, ())
        lesson.labels[:] = UNKNOWN
        lessons.append(lesson)
    return lessons


def _lesson(message: Message, text: str, spans: tuple[tuple[int, int, str], ...]) -> Lesson:
    import numpy as np

    text = shadow(text)
    finds = _rules().finds(make_scan(text, Vendor()))
    (tokens,), keys = split([text])
    rows = np.zeros((len(tokens), SLOTS), dtype=np.int16)
    rules = np.zeros((len(tokens), 9), dtype=np.int16)
    labels = np.zeros(len(tokens), dtype=np.int8)
    places = keys.tolist()
    for index, (start, end) in enumerate(tokens):
        word, own = _own_features(text[start:end])
        row = [word, *_place_features(places[index]), *own][:SLOTS]
        rows[index, : len(row)] = row
    filled = [0] * len(tokens)
    for entity, begin, stop, score in finds:
        inside = within(tokens, begin, stop)
        for index in inside:
            if filled[index] < 9:
                at = filled[index]
                rules[index, at : at + 3] = rule_features(entity, score, index == inside.start)
                filled[index] += 3
    marks = list(ENTITY_OF)
    for begin, stop, mark in spans:
        inside = within(tokens, begin, stop)
        for index in inside:
            labels[index] = 1 + 2 * marks.index(mark) + (index != inside.start)
    return Lesson(message.id, message.kind, text, spans, finds, tokens, rows, rules, labels)


def network(width: int, layers: int, dropout: float = DROPOUT) -> Any:
    """The network in torch, of the same arithmetic as :class:`.tagger.Tagger`."""
    import torch
    from torch import nn

    class Network(nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.EmbeddingBag(BUCKETS, width, mode="sum", padding_idx=0)
            nn.init.normal_(self.embedding.weight, std=0.05)
            with torch.no_grad():
                self.embedding.weight[0] = 0
            self.word_in = nn.Parameter(torch.randn(width, inner) * math.sqrt(1.0 / width))
            self.word_bias = nn.Parameter(torch.zeros(inner))
            self.word_out = nn.Parameter(torch.randn(inner, width) * math.sqrt(0.1 / inner))
            self.scale = nn.Parameter(torch.ones(2, width))
            self.kernel = nn.Parameter(
                torch.randn(layers, 3 * width, width) * math.sqrt(1.0 / (3 * width))
            )
            self.bias = nn.Parameter(torch.zeros(layers, width))
            self.out = nn.Linear(width, len(LABELS))
            self.drop = nn.Dropout(dropout)

        def forward(self, rows: Any, present: Any) -> Any:
            batch, length, slots = rows.shape
            flat = rows.reshape(batch * length, slots)
            around = slice(1, 1 + PLACE_SLOTS)
            own = self.embedding(torch.cat((flat[:, :1], flat[:, around.stop : SLOTS]), dim=1))
            hidden = torch.relu(_normed(own) @ self.word_in + self.word_bias)
            own = own + self.drop(hidden) @ self.word_out
            values = own + self.embedding(torch.cat((flat[:, around], flat[:, SLOTS:]), dim=1))
            values = values.reshape(batch, length, -1)
            values = self.drop(_normed(values) * self.scale[0])
            for layer in range(layers):
                values = values * present
                reach = 1 << layer
                before = nn.functional.pad(values, (0, 0, reach, 0))[:, :length]
                after = nn.functional.pad(values, (0, 0, 0, reach))[:, reach:]
                around = torch.cat((before, values, after), dim=-1)
                added = torch.relu(around @ self.kernel[layer] + self.bias[layer])
                values = values + self.drop(added)
            return self.out(_normed(values) * self.scale[1])

    def _normed(values: Any) -> Any:
        return values * torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + 1e-6)

    inner = 2 * width
    return Network()


@dataclass(frozen=True)
class Score:
    """How well messages are redacted, as shares: see ``bench/redaction.py``."""

    spans: float
    clean: float
    lost: float
    altered: float

    def __str__(self) -> str:
        return (
            f"spans {self.spans:.1%}, without a leak {self.clean:.1%}, "
            f"words lost {self.lost:.2%}, look-alikes altered {self.altered:.1%}"
        )


def score(lessons: Sequence[Lesson], chances: Sequence[Any], alone: float, found: float) -> Score:
    """The figures at two thresholds; chances as :meth:`.tagger.Tagger.chances` gives them."""
    spans = hits = tickets = clean = others = lost = alike = altered = 0
    for lesson, values in zip(lessons, chances, strict=True):
        text = lesson.text
        runs = decode(text, lesson.tokens, values, lesson.finds, alone, found)
        gone = {at for run in runs for at in range(run.start, run.end)}
        inside: set[int] = set()
        leak = False
        for start, end, _ in lesson.spans:
            inside.update(range(start, end))
            hit = all(at in gone for at in range(start, end) if text[at].isalnum())
            spans, hits, leak = spans + 1, hits + hit, leak or not hit
        wrong = 0
        for start, _ in lesson.tokens:
            if text[start].isalnum() and start not in inside:
                others += 1
                wrong += start in gone
        lost += wrong
        if lesson.kind == "ticket":
            tickets, clean = tickets + 1, clean + (not leak)
        else:
            alike, altered = alike + 1, altered + bool(gone)
    return Score(
        hits / max(1, spans),
        clean / max(1, tickets),
        lost / max(1, others),
        altered / max(1, alike),
    )


def _batches(
    lessons: Sequence[Lesson], size: int, draw: random.Random | None
) -> Iterator[tuple[list[Lesson], Any, Any, Any, Any]]:
    """Lessons of like length together, as tensors; with ``draw``, in any order and with gaps.

    Yields:
        Lessons, features, the same without gaps, which tokens are present, labels.
    """
    import numpy as np
    import torch

    def rank(lesson: Lesson) -> float:
        return len(lesson.tokens) + (draw.random() * 15 if draw else 0.0)

    order = sorted(lessons, key=rank)
    groups = [order[at : at + size] for at in range(0, len(order), size)]
    if draw:
        draw.shuffle(groups)
    for group in groups:
        length = max(len(lesson.tokens) for lesson in group)
        rows = np.zeros((len(group), length, SLOTS + 9), dtype=np.int64)
        whole = np.zeros_like(rows)
        present = np.zeros((len(group), length, 1), dtype=np.float32)
        labels = np.full((len(group), length), -100)
        for number, lesson in enumerate(group):
            count = len(lesson.tokens)
            own = lesson.rows
            found = lesson.rules
            whole[number, :count, :SLOTS], whole[number, :count, SLOTS:] = own, found
            if draw:
                generator = np.random.default_rng(draw.getrandbits(32))
                # a word that is not known must be told by the rest, and so must one without a rule
                keep = generator.random(own.shape) > 0.05
                keep[:, 0] = generator.random(count) > 0.15
                own = own * keep
                if draw.random() < 0.1:
                    found = found * 0
            rows[number, :count, :SLOTS] = own
            rows[number, :count, SLOTS:] = found
            present[number, :count] = 1
            labels[number, :count] = lesson.labels
        yield group, *map(torch.from_numpy, (rows, whole, present, labels))


def predict(model: Any, lessons: Sequence[Lesson]) -> list[Any]:
    """The chances of the labels of each lesson's tokens."""
    import torch

    model.eval()
    by_lesson: dict[int, Any] = {}
    with torch.no_grad():
        for group, rows, _, present, _ in _batches(lessons, BATCH, None):
            chances = model(rows, present).softmax(-1).numpy()
            for number, lesson in enumerate(group):
                by_lesson[id(lesson)] = chances[number, : len(lesson.tokens)]
    return [by_lesson[id(lesson)] for lesson in lessons]


def train(
    lessons: Sequence[Sequence[Lesson]],
    *,
    width: int = WIDTH,
    layers: int = LAYERS,
    epochs: int = EPOCHS,
    dropout: float = DROPOUT,
    seed: int = 0,
    teachers: Sequence[Any] = (),
    mixtures: Sequence[Lesson] = (),
    report: Callable[[int, float, Any], None] = lambda epoch, loss, model: None,
) -> Any:
    """Train a network; each epoch sees one of the copies of each message.

    Args:
        lessons: the copies of each message.
        width: of the network.
        layers: of convolutions.
        epochs: rounds over the messages.
        dropout: share of the values that a step leaves out.
        seed: of weights and order.
        teachers: trained networks to learn from as well.
        mixtures: lessons that only the teachers know the labels of.
        report: called after each epoch with its number, its mean loss and the network.

    Returns:
        The network whose weights are the moving average of the last epochs.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    draw = random.Random(seed)
    model = network(width, layers, dropout)
    for teacher in teachers:
        teacher.eval()
    mixed = min(len(mixtures), len(lessons)) if teachers else 0
    steps = epochs * math.ceil((len(lessons) + mixed) / BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps + 1, pct_start=0.1
    )
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    for epoch in range(epochs):
        model.train()
        total = count = 0.0
        chosen = [draw.choice(copies) for copies in lessons] + draw.sample(mixtures, mixed)
        for _, rows, whole, present, labels in _batches(chosen, BATCH, draw):
            here = present[..., 0] > 0
            logits, labels = model(rows, present)[here], labels[here]
            losses = nn.functional.cross_entropy(
                logits, labels, ignore_index=UNKNOWN, label_smoothing=0.02, reduction="none"
            )
            if teachers:
                with torch.no_grad():
                    said = [teacher(whole, present)[here].softmax(-1) for teacher in teachers]
                    mean = torch.stack(said).mean(0)
                told = nn.functional.cross_entropy(logits, mean, reduction="none")
                both = TAUGHT_SHARE * told + (1.0 - TAUGHT_SHARE) * losses
                losses = torch.where(labels == UNKNOWN, told, both)
            loss = losses.mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(model)
            total, count = total + loss.item(), count + 1
        report(epoch, total / count, averaged.module)
    return averaged.module


def frequent_tokens(messages: Sequence[Message]) -> list[str]:
    """The tokens that stand in messages ``FREQUENT`` times or more."""
    counts: Counter[str] = Counter()
    for message in messages:
        text = shadow(message.text)
        counts.update(text[start:end] for start, end in tokens_of(text) if text[start] != "\n")
    return sorted(token for token, count in counts.items() if count >= FREQUENT)


def save(model: Any, path: Path, alone: float, found: float, frequent: Sequence[str]) -> None:
    """Write the weights in half precision, and the tokens that the tagger should know at once."""
    import numpy as np

    arrays = {
        "embedding": model.embedding.weight,
        "word_in": model.word_in,
        "word_bias": model.word_bias,
        "word_out": model.word_out,
        "scale": model.scale,
        "kernel": model.kernel,
        "bias": model.bias,
        "out": model.out.weight.T,
        "out_bias": model.out.bias,
    }
    half = {name: array.detach().numpy().astype(np.float16) for name, array in arrays.items()}
    np.savez_compressed(
        path,
        thresholds=np.asarray([alone, found], dtype=np.float32),
        words=np.frombuffer("\n".join(frequent).encode(), dtype=np.uint8),
        **half,
    )


def prepare(
    messages: Sequence[Message], copies: int, seed: int, processes: int
) -> list[list[Lesson]]:
    """The lessons of all messages, made by several processes."""
    shares = [messages[at::processes] for at in range(processes)]
    seeds = range(seed, seed + processes)
    with ProcessPoolExecutor(processes) as pool:
        done = pool.map(_lessons, shares, repeat(messages), repeat(copies), seeds)
        return [lessons for share in done for lessons in share]


def mix(messages: Sequence[Message], count: int, seed: int, processes: int) -> list[Lesson]:
    """Lessons of ``count`` mixtures of the messages, made by several processes."""
    counts = [len(range(at, count, processes)) for at in range(processes)]
    seeds = range(seed, seed + processes)
    with ProcessPoolExecutor(processes) as pool:
        done = pool.map(_mixtures, repeat(messages), counts, seeds)
        return [lesson for share in done for lesson in share]


def main() -> None:
    """Train on ``taught/`` and write the weights; see ``--help``."""
    parser = argparse.ArgumentParser(description="Train the tagger of redaction.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="file to write")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--teachers", type=int, default=TEACHERS, help="wider networks that it learns from"
    )
    parser.add_argument("--processes", type=int, default=2, help="that run the rules")
    parser.add_argument(
        "--hold-out",
        type=float,
        default=HOLD_OUT,
        metavar="SHARE",
        help="share of the messages that are measured, not taught",
    )
    parser.add_argument("--alone", type=float, default=0.12, help="threshold without a rule")
    parser.add_argument("--found", type=float, default=0.04, help="threshold within a rule's find")
    arguments = parser.parse_args()
    files = sorted(TAUGHT.glob("*.jsonl"))
    messages = [message for path in files for message in read_messages(path)]
    if not messages:
        raise UserError(f"{TAUGHT} holds no messages. Put labelled .jsonl files there.")
    cut = int(arguments.hold_out * 1000)
    measured = [m for m in messages if int(sha256_text(m.text)[:8], 16) % 1000 < cut]
    taught = [m for m in messages if int(sha256_text(m.text)[:8], 16) % 1000 >= cut]
    print(f"{len(taught)} messages to learn, {len(measured)} to measure", flush=True)
    started = time.monotonic()
    lessons = prepare(taught, COPIES, arguments.seed, arguments.processes)
    tests = [copies[0] for copies in prepare(measured, 0, 0, 1)] if measured else []
    print(f"{sum(map(len, lessons))} texts after {time.monotonic() - started:.0f} s", flush=True)

    def report_of(name: str) -> Callable[[int, float, Any], None]:
        def report(epoch: int, loss: float, model: Any) -> None:
            line = f"{name}, epoch {epoch + 1} of {arguments.epochs}, loss {loss:.4f}"
            if tests and (epoch % 4 == 3 or epoch + 1 == arguments.epochs):
                chances = predict(model, tests)
                line += f", {score(tests, chances, arguments.alone, arguments.found)}"
            print(f"{line}, {time.monotonic() - started:.0f} s", flush=True)

        return report

    teachers = [
        train(
            lessons,
            width=TEACHER_WIDTH,
            layers=arguments.layers,
            epochs=arguments.epochs,
            dropout=TEACHER_DROPOUT,
            seed=arguments.seed + number,
            report=report_of(f"teacher {number} of {arguments.teachers}"),
        )
        for number in range(1, arguments.teachers + 1)
    ]
    model = train(
        lessons,
        width=arguments.width,
        layers=arguments.layers,
        epochs=arguments.epochs,
        seed=arguments.seed,
        teachers=teachers,
        mixtures=mix(taught, MIXTURES * len(taught), arguments.seed, arguments.processes),
        report=report_of("tagger"),
    )
    if tests:
        chances = predict(model, tests)
        for alone in (0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3):
            for found in (0.03, 0.05, 0.1):
                print(f"alone {alone}, found {found}: {score(tests, chances, alone, found)}")
    frequent = frequent_tokens(messages)
    save(model, arguments.out, arguments.alone, arguments.found, frequent)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
