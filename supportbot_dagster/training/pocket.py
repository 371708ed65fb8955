"""How the embedded ``pocket`` base is made: ``python -m supportbot_dagster.training.pocket``.

What lives here: the training of a small Llama-architecture model, from nothing. What does not: its
corpus (:mod:`supportbot_dagster.training.pocket_corpus`), its tokenizer
(:mod:`supportbot_dagster.training.pocket_tokenizer`) and fine-tuning.

The base is trained beforehand and shipped with the package, because its training takes longer than
a first retrain may. A closed-book bot first has to tell what a question is about, then to say what
it knows about that. The stages follow this order, from the cheapest to the dearest:

1. **Bag of words**: token embeddings whose mean over a question tells the topics apart, through a
   small network. The embeddings start the model, and its first attention layer starts out
   computing that mean.
2. **Reading**: whole questions, roughened by customer-like noise. A linear head, thrown away
   afterwards, reads the topic off the hidden state from which the answer will start. A question
   alone is a tenth of the tokens of a question with its answer, so far more of them are read.
3. **Answering**: questions with their answers in the chat form, and docs as running text, with the
   loss on words and on topics. The words of the answers dilute what was learned about reading.
4. **Both**: a reading and an answering batch in every update, at small steps, which brings the
   reading back and keeps the words.
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.dataset.rows import QUESTION_PREFIX
from supportbot_dagster.training.base import embedded_base_dir
from supportbot_dagster.training.encode import IGNORED, prompt_ids
from supportbot_dagster.training.noise import noisy
from supportbot_dagster.training.pocket_corpus import Asked, Corpus, sample_corpus
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer

VOCABULARY = 4096
WIDTH, LAYERS, FEED_FORWARD, HEADS = 256, 4, 768, 4
"""Widths are multiples of 256, so that every matrix takes K-quants."""
UNANSWERABLE_SHARE = 0.3
"""Share of the questions of every stage that have no answer."""
LABEL_SMOOTHING = 0.05
MATRIX_RATE, VECTOR_RATE, EMBEDDING_RATE = 3e-3, 2e-3, 4e-4
"""Peak learning rates: Muon's for the matrices of the layers (scaled to AdamW's update size), and
AdamW's for norms and heads and for the input embeddings, which start out trained."""
WARM_UP, FINAL_SHARE = 50, 0.02
BAG_STEPS, BAG_BATCH, BAG_RATE, BAG_HIDDEN, BAG_DROPOUT = 4000, 128, 5e-3, 512, 0.3
EMBEDDING_SCALE = 0.1
"""Standard deviation of the starting embeddings."""
LEVEL_DIMENSIONS, LEVEL = 8, 1.1
"""Dimensions of every embedding that hold one constant. The norm before each layer divides by a
vector's length; with a constant part that dominates it, an unimportant word's short embedding
stays short, instead of being blown up to the length of a telling one."""
POOL_GAIN = 2.0
"""How strongly the first layer starts out adding the mean of the words so far."""
READING_BATCH, READING_CHUNK = 256, 64
"""Questions of an update, and of one pass; a pass holds questions of like length."""
READING_LENGTHS = (24, 32, 48, 80)
"""Few padded lengths, so that few shapes are compiled; what is longer is cut in front."""
WINDOW, ANSWERING_BATCH = 256, 16
"""Tokens of a packed sequence, and sequences of an update."""
MIX = {"text": 0.04, "answer": 0.56, "question": 0.40}
"""Share of the examples of each kind in the answering stage; ``question`` is a question alone."""
DECISIVE_TOKENS, DECISIVE_WEIGHT = 6, 4.0
"""The first tokens of an answer decide its topic; the rest follows. They weigh more in the loss."""
ANSWERING_RATE, BOTH_RATE = 0.6, 0.35
"""Peaks of the later stages' learning rates, as shares of the reading stage's."""
TOPIC_WEIGHT = 1.0
"""Weight of the topic loss in the answering stage."""
WAITING = 24
"""Examples to choose from when a sequence is filled."""


@dataclass(frozen=True)
class Steps:
    """Optimizer updates of the later stages."""

    reading: int = 1300
    answering: int = 700
    both: int = 300


def train_base(corpus: Corpus, out_dir: Path, *, steps: Steps, seed: int, compiled: bool) -> None:
    """Train the tokenizer and the model and write both in the Hugging Face layout.

    Args:
        corpus: what to learn from.
        out_dir: gets the snapshot, after each stage.
        steps: how long.
        seed: of the initialization and the order of the examples.
        compiled: fuse the model's kernels first (some minutes, then about half as fast again).
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    rng = random.Random(seed)
    torch.manual_seed(seed)
    train_tokenizer(_tokenizer_lines(corpus, rng), VOCABULARY, out_dir)
    tokenizer = AutoTokenizer.from_pretrained(out_dir)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=WIDTH // HEADS,
        tie_word_embeddings=False,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    head = torch.nn.Linear(WIDTH, len(corpus.topics))
    pupil = _Pupil(model, head, corpus, tokenizer, rng, compiled)
    _start_from_bag(model, _bag_of_words(corpus, tokenizer, rng))
    pupil.learn("reading", steps.reading, 1.0, reads=True, answers=False)
    _save(model, out_dir)
    pupil.learn("answering", steps.answering, ANSWERING_RATE, reads=False, answers=True)
    _save(model, out_dir)
    pupil.learn("both", steps.both, BOTH_RATE, reads=True, answers=True)
    _save(model, out_dir)


class _Optimizers:
    """Muon for the layers' matrices, AdamW for the rest, on one schedule.

    Muon takes about half the updates of AdamW here; see https://kellerjordan.github.io/posts/muon.
    """

    def __init__(self, model: Any, head: Any, steps: int, peak: float) -> None:
        import torch

        table, words = model.model.embed_tokens.weight, model.lm_head.weight
        inner = [w for w in model.model.parameters() if w is not table]
        self._weights = [*inner, table, words, *head.parameters()]
        self._steps = steps
        self._all = [
            torch.optim.Muon(
                [w for w in inner if w.dim() == 2],
                lr=MATRIX_RATE * peak,
                weight_decay=0.05,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                [
                    {
                        "params": [w for w in inner if w.dim() < 2] + [words, *head.parameters()],
                        "lr": VECTOR_RATE * peak,
                    },
                    {"params": [table], "lr": EMBEDDING_RATE * peak},
                ],
                betas=(0.9, 0.98),
                weight_decay=0.05,
                fused=True,
            ),
        ]
        self._peaks = [[group["lr"] for group in one.param_groups] for one in self._all]

    def step(self, number: int) -> None:
        """Clip the gradients, update, and forget them; ``number`` counts from 1."""
        import torch

        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        share = _schedule(number, self._steps)
        for one, peaks in zip(self._all, self._peaks, strict=True):
            for group, peak in zip(one.param_groups, peaks, strict=True):
                group["lr"] = peak * share
            one.step()
            one.zero_grad(set_to_none=True)


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to :data:`FINAL_SHARE`."""
    if step < WARM_UP:
        return step / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done))


class _Clock:
    """Prints how a stage is getting on."""

    def __init__(self, stage: str, steps: int) -> None:
        self._stage, self._steps = stage, steps
        self._started, self._total, self._count = time.monotonic(), 0.0, 0

    def add(self, step: int, loss: float, more: str = "") -> None:
        self._total += loss
        self._count += 1
        if step % 50 == 0 or step == self._steps or more:
            seconds = time.monotonic() - self._started
            print(
                f"  {self._stage}: step {step} of {self._steps}, "
                f"loss {self._total / self._count:.3f}, {seconds:.0f} s{more}",
                file=sys.stderr,
                flush=True,
            )
            self._total, self._count = 0.0, 0


def _draw(corpus: Corpus, rng: random.Random) -> Asked:
    kind = corpus.deflections if rng.random() < UNANSWERABLE_SHARE else corpus.pairs
    return rng.choice(kind)


def _bag_of_words(corpus: Corpus, tokenizer: Any, rng: random.Random) -> Any:
    """Token embeddings whose mean over a question tells the topics apart, [V, WIDTH - LEVEL]."""
    import torch

    topics, pad = corpus.topics, tokenizer.pad_token_id
    size = WIDTH - LEVEL_DIMENSIONS
    bag = torch.nn.EmbeddingBag(VOCABULARY, size, mode="mean", padding_idx=pad)
    torch.nn.init.normal_(bag.weight, std=0.05)
    head = torch.nn.Sequential(
        torch.nn.Dropout(BAG_DROPOUT),
        torch.nn.Linear(size, BAG_HIDDEN),
        torch.nn.GELU(),
        torch.nn.Dropout(BAG_DROPOUT),
        torch.nn.Linear(BAG_HIDDEN, len(topics)),
    )
    optimizer = torch.optim.AdamW([*bag.parameters(), *head.parameters()], weight_decay=0.0)
    clock = _Clock("bag of words", BAG_STEPS)
    for step in range(1, BAG_STEPS + 1):
        for group in optimizer.param_groups:
            group["lr"] = BAG_RATE * (1 - (step - 1) / BAG_STEPS)
        chosen = [_draw(corpus, rng) for _ in range(BAG_BATCH)]
        encoded = [
            tokenizer(noisy(asked.question, rng), add_special_tokens=False)["input_ids"]
            for asked in chosen
        ]
        longest = max(map(len, encoded))
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in encoded])
        wanted = torch.tensor([topics[asked.topic] for asked in chosen])
        loss = torch.nn.functional.cross_entropy(
            head(bag(ids)), wanted, label_smoothing=LABEL_SMOOTHING
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 1000 == 0:
            clock.add(step, float(loss.detach()))
    weights = bag.weight.detach()
    return weights / weights.std() * EMBEDDING_SCALE


def _start_from_bag(model: Any, words: Any) -> None:
    """Put the bag of words into the embeddings and the mean over them into the first layer.

    Args:
        model: freshly initialized.
        words: [V, WIDTH - LEVEL_DIMENSIONS].
    """
    import torch

    with torch.no_grad():
        table = model.model.embed_tokens.weight
        table[:, :LEVEL_DIMENSIONS] = LEVEL
        table[:, LEVEL_DIMENSIONS:] = words
        attention = model.model.layers[0].self_attn
        attention.v_proj.weight.copy_(torch.eye(WIDTH))
        pool = POOL_GAIN * torch.eye(WIDTH)
        pool[:LEVEL_DIMENSIONS] = 0.0
        attention.o_proj.weight.copy_(pool)


class _Pupil:
    """The model with all that its stages need.

    Args:
        model: to train.
        head: linear head over the topics, which is thrown away in the end.
        corpus: what to learn from.
        tokenizer: of the model.
        rng: decides on examples and noise.
        compiled: fuse the kernels first.
    """

    def __init__(
        self,
        model: Any,
        head: Any,
        corpus: Corpus,
        tokenizer: Any,
        rng: random.Random,
        compiled: bool,
    ) -> None:
        import torch

        self._model, self._head = model, head
        self._corpus, self._topics = corpus, corpus.topics
        self._tokenizer, self._rng = tokenizer, rng
        self._batches = _batches(corpus, tokenizer, rng)

        def fused(function: Any) -> Any:
            return torch.compile(function, dynamic=False) if compiled else function

        self._scores, self._losses = fused(self._topic_scores), fused(self._word_and_topic_loss)

    def learn(self, stage: str, steps: int, peak: float, *, reads: bool, answers: bool) -> None:
        """One stage of so many updates; ``peak`` is the share of the full learning rates."""
        optimizers = _Optimizers(self._model, self._head, steps, peak)
        clock = _Clock(stage, steps)
        for step in range(1, steps + 1):
            loss = (self._read() if reads else 0.0) + (self._answer() if answers else 0.0)
            optimizers.step(step)
            watched = step % 200 == 0 or step == steps
            more = ""
            if watched:
                more = _watch(self._model, self._head, self._corpus, self._tokenizer)
            clock.add(step, loss, more)

    def _read(self) -> float:
        """Gradients of a batch of noisy questions and their topics; returns the loss."""
        import torch

        drawn = [_draw(self._corpus, self._rng) for _ in range(READING_BATCH)]
        prompts = [
            (
                prompt_ids(self._tokenizer, QUESTION_PREFIX + noisy(asked.question, self._rng)),
                asked.topic,
            )
            for asked in drawn
        ]
        prompts.sort(key=lambda item: len(item[0]))
        total = 0.0
        for start in range(0, READING_BATCH, READING_CHUNK):
            chunk = prompts[start : start + READING_CHUNK]
            ids, last = _padded([prompt for prompt, _ in chunk], self._tokenizer.pad_token_id)
            wanted = torch.tensor([self._topics[topic] for _, topic in chunk])
            loss = torch.nn.functional.cross_entropy(
                self._scores(ids, last), wanted, label_smoothing=LABEL_SMOOTHING
            )
            (loss * READING_CHUNK / READING_BATCH).backward()
            total += float(loss.detach()) * READING_CHUNK / READING_BATCH
        return total

    def _answer(self) -> float:
        """Gradients of a packed batch of answers and texts; returns the loss."""
        ids, labels, weights, classes, documents, positions = next(self._batches)
        loss = self._losses(ids, labels, weights, classes, _mask(documents), positions)
        loss.backward()
        return float(loss.detach())

    def _topic_scores(self, ids: Any, last: Any) -> Any:
        import torch

        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self._model.model(input_ids=ids, use_cache=False).last_hidden_state
        return self._head(hidden[torch.arange(len(ids)), last].float())

    def _word_and_topic_loss(
        self, ids: Any, labels: Any, weights: Any, classes: Any, mask: Any, positions: Any
    ) -> Any:
        import torch

        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self._model.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
            ).last_hidden_state
            logits = self._model.lm_head(hidden)
            scores = self._head(hidden)
        losses = torch.nn.functional.cross_entropy(
            logits.float().view(-1, VOCABULARY),
            labels.view(-1),
            ignore_index=IGNORED,
            reduction="none",
        )
        topic_loss = torch.nn.functional.cross_entropy(
            scores.float().view(-1, scores.shape[-1]),
            classes.view(-1),
            ignore_index=IGNORED,
            label_smoothing=LABEL_SMOOTHING,
        )
        return (losses * weights.view(-1)).sum() / weights.sum() + TOPIC_WEIGHT * topic_loss


def _padded(prompts: Sequence[list[int]], pad: int) -> tuple[Any, Any]:
    """Prompts as ids [B, T] padded to one of :data:`READING_LENGTHS`, and their last positions [B].

    A prompt that is too long loses tokens after its first two, which open the turn.
    """
    import torch

    longest = READING_LENGTHS[-1]
    cut = [
        prompt if len(prompt) <= longest else prompt[:2] + prompt[2 - longest :]
        for prompt in prompts
    ]
    needed = max(map(len, cut))
    length = next(length for length in READING_LENGTHS if length >= needed)
    ids = torch.tensor([prompt + [pad] * (length - len(prompt)) for prompt in cut])
    return ids, torch.tensor([len(prompt) - 1 for prompt in cut])


def _watch(model: Any, head: Any, corpus: Corpus, tokenizer: Any) -> str:
    """How well the questions held back are read."""
    import torch

    names = list(corpus.topics)
    told: list[str] = []
    with torch.no_grad():
        for start in range(0, len(corpus.watched), READING_CHUNK):
            chunk = corpus.watched[start : start + READING_CHUNK]
            ids, last = _padded(
                [prompt_ids(tokenizer, QUESTION_PREFIX + asked.question) for asked in chunk],
                tokenizer.pad_token_id,
            )
            hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
            scores = head(hidden[torch.arange(len(ids)), last])
            told += [names[number] for number in scores.argmax(-1).tolist()]
    found = list(zip(corpus.watched, told, strict=True))
    answerable = [name == asked.topic for asked, name in found if asked.answerable]
    unanswerable = [
        not Asked("", "", name).answerable for asked, name in found if not asked.answerable
    ]
    needless = [not Asked("", "", name).answerable for asked, name in found if asked.answerable]
    return (
        f"; held back: section right {_percent(answerable)}, taken for unanswerable "
        f"{_percent(needless)}, unanswerable told {_percent(unanswerable)}"
    )


def _percent(values: Sequence[bool]) -> str:
    return f"{100 * sum(values) / max(1, len(values)):.1f} %"


def _save(model: Any, out_dir: Path) -> None:
    """Weights in 16 bit: what the GGUF stores, and half the package's size."""
    import copy

    import torch

    copy.deepcopy(model).to(torch.float16).save_pretrained(out_dir)
    config = json.loads((out_dir / "config.json").read_text(encoding="utf-8"))
    config.pop("transformers_version", None)
    (out_dir / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _tokenizer_lines(corpus: Corpus, rng: random.Random) -> list[str]:
    questions = [asked.question for asked in (*corpus.pairs, *corpus.deflections)]
    answers = list(dict.fromkeys(asked.answer for asked in corpus.pairs))
    return [
        *corpus.texts * 2,
        *questions,
        *(noisy(question, rng) for question in questions),
        *answers * 3,
    ]


@dataclass(frozen=True)
class _Encoded:
    """Token ids with the label and the weight of each, all of one length.

    ``topic`` is the class of the question, told at position ``topic_at``; both None for text.
    """

    ids: list[int]
    labels: list[int]
    weights: list[float]
    topic: int | None = None
    topic_at: int | None = None


def _examples(corpus: Corpus, tokenizer: Any, rng: random.Random) -> Iterator[_Encoded]:
    """An endless stream of examples."""
    bos, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    topics: Mapping[str, int] = corpus.topics

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def chat(asked: Asked, answered: bool) -> _Encoded:
        prompt = prompt_ids(tokenizer, QUESTION_PREFIX + noisy(asked.question, rng))
        reply = [*encode(asked.answer), end] if answered else []
        decisive = min(DECISIVE_TOKENS, len(reply))
        return _Encoded(
            prompt + reply,
            [IGNORED] * len(prompt) + reply,
            [0.0] * len(prompt) + [DECISIVE_WEIGHT] * decisive + [1.0] * (len(reply) - decisive),
            topics[asked.topic],
            len(prompt) - 1,
        )

    def running(text: str) -> _Encoded:
        ids = [bos, *encode(text)[: WINDOW - 2], end]
        return _Encoded(ids, [IGNORED, *ids[1:]], [0.0] + [1.0] * (len(ids) - 1))

    while True:
        kind = rng.choices(list(MIX), list(MIX.values()))[0]
        if kind == "text":
            yield running(rng.choice(corpus.texts))
        else:
            yield chat(_draw(corpus, rng), answered=kind == "answer")


def _batches(corpus: Corpus, tokenizer: Any, rng: random.Random) -> Iterator[tuple[Any, ...]]:
    """Packed batches of ids, next-token labels, their weights, topic classes, documents, positions.

    All are [B, T]. The topic's class stands where the answer starts, else nothing does.

    A sequence takes the longest waiting examples that still fit, so that little is padding.
    """
    import torch

    examples = _examples(corpus, tokenizer, rng)
    pad = tokenizer.pad_token_id
    waiting: list[_Encoded] = []
    while True:
        rows: list[tuple[list[Any], ...]] = []
        while len(rows) < ANSWERING_BATCH:
            ids: list[int] = []
            labels: list[int] = []
            weights: list[float] = []
            classes: list[int] = []
            documents: list[int] = []
            positions: list[int] = []
            for number in range(1, WINDOW):
                while len(waiting) < WAITING:
                    candidate = next(examples)
                    if len(candidate.ids) <= WINDOW:
                        waiting.append(candidate)
                fitting = [item for item in waiting if len(item.ids) <= WINDOW - len(ids)]
                if not fitting:
                    break
                chosen = max(fitting, key=lambda item: len(item.ids)) if ids else waiting[0]
                waiting.remove(chosen)
                ids += chosen.ids
                # Each position predicts the next token of its own document.
                labels += [*chosen.labels[1:], IGNORED]
                weights += [*chosen.weights[1:], 0.0]
                told = [IGNORED] * len(chosen.ids)
                if chosen.topic is not None and chosen.topic_at is not None:
                    told[chosen.topic_at] = chosen.topic
                classes += told
                documents += [number] * len(chosen.ids)
                positions += range(len(chosen.ids))
            missing = WINDOW - len(ids)
            rows.append(
                (
                    ids + [pad] * missing,
                    labels + [IGNORED] * missing,
                    weights + [0.0] * missing,
                    classes + [IGNORED] * missing,
                    documents + [0] * missing,
                    positions + list(range(missing)),
                )
            )
        yield tuple(torch.tensor(column) for column in zip(*rows, strict=True))


def _mask(documents: Any) -> Any:
    """Additive causal mask [B, 1, T, T] that keeps each packed document to itself."""
    import torch

    same = documents[:, None, :] == documents[:, :, None]
    causal = torch.ones(WINDOW, WINDOW, dtype=torch.bool).tril()
    return torch.where(same & causal, 0.0, torch.finfo(torch.bfloat16).min)[:, None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=embedded_base_dir())
    parser.add_argument("--reading-steps", type=int, default=Steps.reading)
    parser.add_argument("--answering-steps", type=int, default=Steps.answering)
    parser.add_argument("--both-steps", type=int, default=Steps.both)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args(arguments)
    corpus = sample_corpus()
    print(
        f"{len(corpus.texts)} sections, {len(corpus.pairs)} pairs, "
        f"{len(corpus.deflections)} deflections, {len(corpus.watched)} held back, "
        f"{corpus.copies} left out as copies of what a bot is tested on",
        file=sys.stderr,
    )
    train_base(
        corpus,
        options.out,
        steps=Steps(options.reading_steps, options.answering_steps, options.both_steps),
        seed=options.seed,
        compiled=not options.no_compile,
    )


if __name__ == "__main__":
    main()
