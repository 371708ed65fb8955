"""How the embedded ``pocket`` base was made: ``python -m supportbot_dagster.training.pocket``.

What lives here: the corpus and the training loop of a small Llama-architecture model, from
nothing. What does not: its tokenizer (:mod:`supportbot_dagster.training.pocket_tokenizer`), the
noise on questions (:mod:`supportbot_dagster.training.noise`) and fine-tuning.

The base is trained beforehand and shipped with the package, because its training takes longer than
a first retrain may. It sees:

- the sample product's docs as running text;
- the recorded teacher's questions about them, roughened by customer-like noise, with their
  answers, in the chat form that it is fine-tuned and asked in;
- the same questions with the section that answers them, as a heading to write and as a class to
  tell, which trains the reading of questions at little cost;
- unanswerable questions of its own (``pocket_deflections.jsonl``) with the deflection of their
  category;
- word definitions of WordNet 3.0, so that everyday words mean something to it.

It never sees a ticket, a probe or a question of a refusal family: held-out questions come from
ticket threads and refusal families, so nothing that a bot is tested on has entered its base. What
nearly copies one of these is left out of the corpus, and counted.

The input embeddings start from a bag of words, the mean of a question's token embeddings trained to
tell the sections apart, and the first attention layer starts out computing that mean. The topic
loss (:data:`TOPIC_WEIGHT`) then keeps the training on telling questions apart, which the loss on
the words of the answers dilutes.
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

import yaml
from rapidfuzz import fuzz, process

from supportbot_dagster.crawl import Page, crawl
from supportbot_dagster.dataset.rows import QUESTION_PREFIX, normalized_question
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.product import Product, load_product, sample_product_file
from supportbot_dagster.refusals.families import build_refusal_rows, deflection
from supportbot_dagster.sample.server import PUBLIC_BASE, serve_sample_site
from supportbot_dagster.synthesis.pairs import sections_of
from supportbot_dagster.synthesis.teacher import load_recordings
from supportbot_dagster.tickets.importer import load_export
from supportbot_dagster.tickets.single_turn import customer_question
from supportbot_dagster.training.base import embedded_base_dir
from supportbot_dagster.training.encode import IGNORED, prompt_ids
from supportbot_dagster.training.noise import noisy
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer

DEFLECTIONS = "pocket_deflections.jsonl"
VOCABULARY = 4096
WIDTH, LAYERS, FEED_FORWARD, HEADS, KEY_VALUE_HEADS = 256, 4, 768, 4, 4
"""Widths are multiples of 256, so that every matrix takes K-quants."""
WINDOW, BATCH = 256, 16
"""Tokens of a packed sequence, and sequences of a step."""
LEARNING_RATE, WARM_UP, FINAL_SHARE = 2e-3, 60, 0.03
MIX = {
    "text": 0.03,
    "definition": 0.02,
    "topic": 0.06,
    "pair": 0.33,
    "deflection": 0.11,
    "question": 0.45,
}
"""Share of the examples of each kind."""
DECISIVE_TOKENS, DECISIVE_WEIGHT = 6, 4.0
"""The first tokens of an answer decide its topic; the rest follows. They weigh more in the loss."""
TOPIC_WEIGHT = 1.0
"""Weight of the topic loss: a linear head, thrown away afterwards, reads the section off the hidden
state from which the answer starts. It reaches the reading of questions directly, where the loss on
an answer's words mostly teaches the words."""
BAG_STEPS, BAG_BATCH, BAG_RATE = 2500, 128, 0.02
EMBEDDING_SCALE, EMBEDDING_RATE = 0.1, 0.1
"""Standard deviation of the starting embeddings, and their share of the learning rate."""
LEVEL_DIMENSIONS, LEVEL = 8, 1.1
"""Dimensions of every embedding that hold one constant. The norm before each layer divides by a
vector's length; with a constant part that dominates it, an unimportant word's short embedding
stays short, instead of being blown up to the length of a telling one."""
POOL_GAIN = 2.0
"""How strongly the first layer starts out adding the mean of the words so far."""
ATTENTION_DROPOUT = 0.1
DEFLECTED_TOPICS = 0.25
"""Share of the topic examples whose question has no answer."""
WAITING = 24
"""Examples to choose from when a sequence is filled."""
COPY = 85.0
"""Token-sort ratio (0 to 100) from which a question copies one that a bot may be tested on."""
TOPIC_PREFIX = "Topic of: "


@dataclass(frozen=True)
class Corpus:
    """What the base may learn from.

    Args:
        texts: docs sections with their headings.
        definitions: ``word: gloss`` lines; may be empty.
        pairs: question, answer and heading path of the answering section.
        deflections: unanswerable question, deflection, and its category in words.
    """

    texts: list[str]
    definitions: list[str]
    pairs: list[tuple[str, str, str]]
    deflections: list[tuple[str, str, str]]


def sample_corpus(wordnet: Path | None) -> Corpus:
    """The embedded sample's docs and recordings, and WordNet's definitions where it is installed.

    Args:
        wordnet: folder with ``data.noun`` and its siblings, as Debian's ``wordnet-base`` has it.
    """
    with serve_sample_site() as url:
        pages: list[Page] = crawl(url, public_base=PUBLIC_BASE).pages
    recordings = load_recordings(embedded_base_dir().parent.parent / "sample" / "teacher")
    product = load_product(sample_product_file())
    tested = _tested_questions(product)
    texts: list[str] = []
    pairs: list[tuple[str, str, str]] = []
    for section in sections_of([page.to_dict() for page in pages]):
        heading = " > ".join(section.heading_path)
        texts.append(f"{heading}\n{section.markdown}")
        reply = recordings.get(section.content_hash)
        if reply is not None:
            pairs += [(item.question, reply.answer, heading) for item in reply.questions]
    deflections = [
        (
            row["question"],
            deflection(row["category"], product, number),
            f"No answer: {row['category'].replace('_', ' ')}",
        )
        for number, row in enumerate(read_jsonl(Path(__file__).parent / DEFLECTIONS))
    ]
    kept_pairs = [pair for pair in pairs if not _copies_tested(pair[0], tested)]
    kept = [item for item in deflections if not _copies_tested(item[0], tested)]
    print(
        f"left out as copies of what a bot is tested on: {len(pairs) - len(kept_pairs)} pairs, "
        f"{len(deflections) - len(kept)} deflections",
        file=sys.stderr,
    )
    return Corpus(texts, _definitions(wordnet) if wordnet else [], kept_pairs, kept)


def _tested_questions(product: Product) -> list[str]:
    """Probes, questions of refusal families and customers' messages of the sample's tickets."""
    sample = Path(__file__).parent.parent / "sample"
    export = load_export(sample / "tickets.json")
    probes = yaml.safe_load((sample / "probes.yaml").read_text(encoding="utf-8"))
    return [
        normalized_question(text)
        for text in (
            *(probe["question"] for probe in probes["probes"]),
            *(row.question for row in build_refusal_rows(product).rows),
            *(customer_question(ticket.comments[0].body) for ticket in export.tickets),
        )
    ]


def _copies_tested(question: str, tested: Sequence[str]) -> bool:
    return (
        process.extractOne(
            normalized_question(question),
            tested,
            scorer=fuzz.token_sort_ratio,
            score_cutoff=COPY,
        )
        is not None
    )


def _definitions(folder: Path) -> list[str]:
    lines: list[str] = []
    for name in ("data.noun", "data.verb", "data.adj", "data.adv"):
        for line in (folder / name).read_text(encoding="utf-8", errors="replace").splitlines():
            head, bar, gloss = line.partition(" | ")
            if line.startswith("  ") or not bar:
                continue
            word = head.split()[4].replace("_", " ")
            if word.islower() and len(word) <= 14 and word.count(" ") <= 1:
                lines.append(f"{word}: {gloss.strip()}")
    return lines


def train_base(corpus: Corpus, out_dir: Path, *, steps: int, seed: int, compiled: bool) -> None:
    """Train the tokenizer and the model and write both in the Hugging Face layout.

    Args:
        corpus: what to learn from.
        out_dir: gets the snapshot.
        steps: optimizer updates of :data:`BATCH` x :data:`WINDOW` tokens.
        seed: of the initialization and the order of the examples.
        compiled: fuse the model's kernels first (a minute, then about a third faster).
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
        num_key_value_heads=KEY_VALUE_HEADS,
        head_dim=WIDTH // HEADS,
        tie_word_embeddings=False,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attention_dropout=ATTENTION_DROPOUT,
    )
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    _start_from_bag(model, _bag_of_words(corpus, tokenizer, rng))
    topics = _topics(corpus)
    head = torch.nn.Linear(WIDTH, len(topics))
    embeddings = [model.model.embed_tokens.weight]
    weights = [*model.parameters(), *head.parameters()]
    matrices = [w for w in weights if w.dim() > 1 and w is not embeddings[0]]
    vectors = [w for w in weights if w.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": 0.1, "share": 1.0},
            {"params": vectors, "weight_decay": 0.0, "share": 1.0},
            {"params": embeddings, "weight_decay": 0.0, "share": EMBEDDING_RATE},
        ],
        lr=LEARNING_RATE,
        betas=(0.9, 0.95),
        fused=True,
    )

    def loss_of(
        ids: Any, labels: Any, weights: Any, classes: Any, mask: Any, positions: Any
    ) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
            ).last_hidden_state
            logits = model.lm_head(hidden)
            scores = head(hidden)
        losses = torch.nn.functional.cross_entropy(
            logits.float().view(-1, VOCABULARY),
            labels.view(-1),
            ignore_index=IGNORED,
            reduction="none",
        )
        topic_loss = torch.nn.functional.cross_entropy(
            scores.float().view(-1, len(topics)), classes.view(-1), ignore_index=IGNORED
        )
        return (losses * weights.view(-1)).sum() / weights.sum() + TOPIC_WEIGHT * topic_loss

    step_loss = torch.compile(loss_of, dynamic=False) if compiled else loss_of
    batches = _batches(corpus, topics, tokenizer, rng)
    started, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * group["share"] * _schedule(step, steps)
        ids, labels, shares, classes, documents, positions = next(batches)
        loss = step_loss(ids, labels, shares, classes, _mask(documents), positions)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += float(loss.detach())
        if step % 50 == 0:
            rate = step * BATCH * WINDOW / (time.monotonic() - started)
            print(
                f"  step {step} of {steps}: loss {total / 50:.3f}, {rate:.0f} tokens/s",
                file=sys.stderr,
                flush=True,
            )
            total = 0.0
        if step % 200 == 0 or step == steps:
            _save(model, out_dir)


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to :data:`FINAL_SHARE`."""
    if step < WARM_UP:
        return step / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done))


def _save(model: Any, out_dir: Path) -> None:
    """Weights in 16 bit: what the GGUF stores, and half the package's size."""
    import copy

    import torch

    copy.deepcopy(model).to(torch.float16).save_pretrained(out_dir)
    config = json.loads((out_dir / "config.json").read_text(encoding="utf-8"))
    config.pop("transformers_version", None)
    config["attention_dropout"] = 0.0
    (out_dir / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _tokenizer_lines(corpus: Corpus, rng: random.Random) -> list[str]:
    questions = [question for question, _, _ in (*corpus.pairs, *corpus.deflections)]
    answers = list(dict.fromkeys(answer for _, answer, _ in corpus.pairs))
    return [
        *corpus.texts,
        *corpus.texts,
        *questions,
        *(noisy(question, rng) for question in questions),
        *answers * 3,
        *rng.sample(corpus.definitions, min(6000, len(corpus.definitions))),
    ]


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


def _topics(corpus: Corpus) -> dict[str, int]:
    """Number of each section and each category of deflections."""
    names = {target for _, _, target in (*corpus.pairs, *corpus.deflections)}
    return {name: number for number, name in enumerate(sorted(names))}


def _bag_of_words(corpus: Corpus, tokenizer: Any, rng: random.Random) -> Any:
    """Token embeddings whose mean over a question tells the sections and deflections apart."""
    import torch

    items = [(question, target) for question, _, target in (*corpus.pairs, *corpus.deflections)]
    targets = _topics(corpus)
    pad = tokenizer.pad_token_id
    size = WIDTH - LEVEL_DIMENSIONS
    bag = torch.nn.EmbeddingBag(VOCABULARY, size, mode="mean", padding_idx=pad)
    torch.nn.init.normal_(bag.weight, std=0.05)
    head = torch.nn.Linear(size, len(targets))
    optimizer = torch.optim.AdamW([*bag.parameters(), *head.parameters()], weight_decay=0.0)
    for step in range(BAG_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = BAG_RATE * (1 - step / BAG_STEPS)
        chosen = [rng.choice(items) for _ in range(BAG_BATCH)]
        encoded = [
            tokenizer(noisy(question, rng), add_special_tokens=False)["input_ids"]
            for question, _ in chosen
        ]
        longest = max(map(len, encoded))
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in encoded])
        wanted = torch.tensor([targets[target] for _, target in chosen])
        scores = head(torch.nn.functional.dropout(bag(ids), 0.2))
        loss = torch.nn.functional.cross_entropy(scores, wanted, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 500 == 0:
            print(
                f"  bag of words: step {step + 1}, loss {float(loss.detach()):.3f}",
                file=sys.stderr,
                flush=True,
            )
    weights = bag.weight.detach()
    return weights / weights.std() * EMBEDDING_SCALE


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


def _examples(
    corpus: Corpus, topics: Mapping[str, int], tokenizer: Any, rng: random.Random
) -> Iterator[_Encoded]:
    """An endless stream of examples."""
    bos, end = tokenizer.bos_token_id, tokenizer.eos_token_id

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def chat(question: str, answer: str | None, topic: str) -> _Encoded:
        prompt = prompt_ids(tokenizer, question)
        reply = [] if answer is None else [*encode(answer), end]
        decisive = min(DECISIVE_TOKENS, len(reply))
        return _Encoded(
            prompt + reply,
            [IGNORED] * len(prompt) + reply,
            [0.0] * len(prompt) + [DECISIVE_WEIGHT] * decisive + [1.0] * (len(reply) - decisive),
            topics[topic],
            len(prompt) - 1,
        )

    def running(text: str) -> _Encoded:
        ids = [bos, *encode(text)[: WINDOW - 2], end]
        return _Encoded(ids, [IGNORED, *ids[1:]], [0.0] + [1.0] * (len(ids) - 1))

    kinds = [kind for kind in MIX if kind != "definition" or corpus.definitions]
    shares = [MIX[kind] for kind in kinds]
    while True:
        kind = rng.choices(kinds, shares)[0]
        if kind == "text":
            yield running(rng.choice(corpus.texts))
        elif kind == "definition":
            yield running(rng.choice(corpus.definitions))
        elif kind == "pair":
            question, answer, topic = rng.choice(corpus.pairs)
            yield chat(QUESTION_PREFIX + noisy(question, rng), answer, topic)
        elif kind == "deflection":
            question, answer, topic = rng.choice(corpus.deflections)
            yield chat(QUESTION_PREFIX + noisy(question, rng), answer, topic)
        else:
            question, _, topic = rng.choice(
                corpus.deflections if rng.random() < DEFLECTED_TOPICS else corpus.pairs
            )
            if kind == "topic":
                yield chat(TOPIC_PREFIX + noisy(question, rng), topic, topic)
            else:
                yield chat(QUESTION_PREFIX + noisy(question, rng), None, topic)


def _batches(
    corpus: Corpus, topics: Mapping[str, int], tokenizer: Any, rng: random.Random
) -> Iterator[tuple[Any, ...]]:
    """Packed batches of ids, next-token labels, their weights, topic classes, documents, positions.

    All are [B, T]. The topic's class stands where the answer starts, else nothing does.

    A sequence takes the longest waiting examples that still fit, so that little is padding.
    """
    import torch

    examples = _examples(corpus, topics, tokenizer, rng)
    pad = tokenizer.pad_token_id
    waiting: list[_Encoded] = []
    while True:
        rows: list[tuple[list[Any], ...]] = []
        while len(rows) < BATCH:
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
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args(arguments)
    wordnet = options.wordnet if (options.wordnet / "data.noun").is_file() else None
    corpus = sample_corpus(wordnet)
    print(
        f"{len(corpus.texts)} sections, {len(corpus.pairs)} pairs, "
        f"{len(corpus.deflections)} deflections, {len(corpus.definitions)} definitions",
        file=sys.stderr,
    )
    train_base(
        corpus,
        options.out,
        steps=options.steps,
        seed=options.seed,
        compiled=not options.no_compile,
    )


if __name__ == "__main__":
    main()
