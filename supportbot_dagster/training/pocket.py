"""How the embedded ``pocket`` base was made: ``python -m supportbot_dagster.training.pocket``.

What lives here: the corpus and the training loop of a small Llama-architecture model, from
nothing. What does not: its tokenizer (:mod:`supportbot_dagster.training.pocket_tokenizer`), the
noise on questions (:mod:`supportbot_dagster.training.noise`) and fine-tuning.

The base is trained beforehand and shipped with the package, because an hour of training gives a
newcomer a far better bot than the few minutes that a first retrain may take. It sees:

- the sample product's docs as running text;
- the recorded teacher's questions about them, roughened by customer-like noise, with their
  answers, in the chat form that it is fine-tuned and asked in;
- the same questions with the heading of the section that answers them, a short target that trains
  the reading of questions at little cost;
- word definitions of WordNet 3.0, so that everyday words mean something to it.

It never sees a ticket, a probe or a deflection: held-out questions come from ticket threads and
refusal families, so nothing that a bot is tested on has entered its base.
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.crawl import Page, crawl
from supportbot_dagster.dataset.rows import QUESTION_PREFIX
from supportbot_dagster.sample.server import PUBLIC_BASE, serve_sample_site
from supportbot_dagster.synthesis.pairs import sections_of
from supportbot_dagster.synthesis.teacher import load_recordings
from supportbot_dagster.training.base import embedded_base_dir
from supportbot_dagster.training.encode import IGNORED
from supportbot_dagster.training.noise import noisy
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer

VOCABULARY = 4096
WIDTH, LAYERS, FEED_FORWARD, HEADS, KEY_VALUE_HEADS = 256, 6, 768, 4, 2
"""Widths are multiples of 256, so that every matrix takes K-quants."""
WINDOW, BATCH = 256, 16
"""Tokens of a packed sequence, and sequences of a step."""
LEARNING_RATE, WARM_UP, FINAL_SHARE = 2.5e-3, 100, 0.03
MIX = {"text": 0.10, "definition": 0.08, "topic": 0.22, "pair": 0.60}
"""Share of the examples of each kind."""
TOPIC_PREFIX = "Topic of: "


@dataclass(frozen=True)
class Corpus:
    """What the base may learn from.

    Args:
        texts: docs sections with their headings.
        definitions: ``word: gloss`` lines; may be empty.
        pairs: question, answer and heading path of the answering section.
    """

    texts: list[str]
    definitions: list[str]
    pairs: list[tuple[str, str, str]]


def sample_corpus(wordnet: Path | None) -> Corpus:
    """The embedded sample's docs and recordings, and WordNet's definitions where it is installed.

    Args:
        wordnet: folder with ``data.noun`` and its siblings, as Debian's ``wordnet-base`` has it.
    """
    with serve_sample_site() as url:
        pages: list[Page] = crawl(url, public_base=PUBLIC_BASE).pages
    recordings = load_recordings(embedded_base_dir().parent.parent / "sample" / "teacher")
    texts: list[str] = []
    pairs: list[tuple[str, str, str]] = []
    for section in sections_of([page.to_dict() for page in pages]):
        heading = " > ".join(section.heading_path)
        texts.append(f"{heading}\n{section.markdown}")
        reply = recordings.get(section.content_hash)
        if reply is not None:
            pairs += [(item.question, reply.answer, heading) for item in reply.questions]
    return Corpus(texts, _definitions(wordnet) if wordnet else [], pairs)


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
        tie_word_embeddings=True,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    decayed = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": 0.1},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=LEARNING_RATE,
        betas=(0.9, 0.95),
        fused=True,
    )

    def loss_of(ids: Any, labels: Any, mask: Any, positions: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
            ).last_hidden_state
            logits = model.lm_head(hidden)
        return torch.nn.functional.cross_entropy(
            logits.float().view(-1, VOCABULARY), labels.view(-1), ignore_index=IGNORED
        )

    step_loss = torch.compile(loss_of, dynamic=False) if compiled else loss_of
    batches = _batches(corpus, tokenizer, rng)
    started, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * _schedule(step, steps)
        ids, labels, documents, positions = next(batches)
        loss = step_loss(ids, labels, _mask(documents), positions)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += float(loss)
        if step % 50 == 0:
            rate = step * BATCH * WINDOW / (time.monotonic() - started)
            print(
                f"  step {step} of {steps}: loss {total / 50:.3f}, {rate:.0f} tokens/s",
                file=sys.stderr,
                flush=True,
            )
            total = 0.0
        if step % 500 == 0 or step == steps:
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
    (out_dir / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _tokenizer_lines(corpus: Corpus, rng: random.Random) -> list[str]:
    questions = [question for question, _, _ in corpus.pairs]
    answers = list(dict.fromkeys(answer for _, answer, _ in corpus.pairs))
    return [
        *corpus.texts,
        *corpus.texts,
        *questions,
        *(noisy(question, rng) for question in questions),
        *answers * 3,
        *rng.sample(corpus.definitions, min(6000, len(corpus.definitions))),
    ]


_Encoded = tuple[list[int], list[int]]


def _examples(corpus: Corpus, tokenizer: Any, rng: random.Random) -> Iterator[_Encoded]:
    """An endless stream of (token ids, labels)."""
    bos, end = tokenizer.bos_token_id, tokenizer.eos_token_id

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def chat(question: str, answer: str) -> _Encoded:
        prompt = encode(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": question}],
                tokenize=False,
                add_generation_prompt=True,
            )
        )
        reply = [*encode(answer), end]
        return prompt + reply, [IGNORED] * len(prompt) + reply

    def running(text: str) -> _Encoded:
        ids = [bos, *encode(text)[: WINDOW - 2], end]
        return ids, [IGNORED, *ids[1:]]

    kinds = [kind for kind in MIX if kind != "definition" or corpus.definitions]
    weights = [MIX[kind] for kind in kinds]
    while True:
        kind = rng.choices(kinds, weights)[0]
        if kind == "text":
            yield running(rng.choice(corpus.texts))
        elif kind == "definition":
            yield running(rng.choice(corpus.definitions))
        else:
            question, answer, heading = rng.choice(corpus.pairs)
            if kind == "topic":
                yield chat(TOPIC_PREFIX + noisy(question, rng), heading)
            else:
                yield chat(QUESTION_PREFIX + noisy(question, rng), answer)


def _batches(corpus: Corpus, tokenizer: Any, rng: random.Random) -> Iterator[tuple[Any, ...]]:
    """Packed batches: ids, next-token labels, document numbers and positions, each [B, T]."""
    import torch

    examples = _examples(corpus, tokenizer, rng)
    pad = tokenizer.pad_token_id
    waiting: list[_Encoded] = []
    while True:
        sequences: list[tuple[list[int], list[int], list[int], list[int]]] = []
        while len(sequences) < BATCH:
            ids: list[int] = []
            labels: list[int] = []
            documents: list[int] = []
            positions: list[int] = []
            while True:
                while len(waiting) < 24:
                    candidate = next(examples)
                    if len(candidate[0]) <= WINDOW:
                        waiting.append(candidate)
                room = WINDOW - len(ids)
                fitting = [item for item in waiting if len(item[0]) <= room]
                if not fitting:
                    break
                chosen = max(fitting, key=lambda item: len(item[0])) if ids else waiting[0]
                waiting.remove(chosen)
                documents += [len(set(documents)) + 1] * len(chosen[0])
                positions += range(len(chosen[0]))
                ids += chosen[0]
                # Each position predicts the next token of its own document.
                labels += [*chosen[1][1:], IGNORED]
            missing = WINDOW - len(ids)
            sequences.append(
                (
                    ids + [pad] * missing,
                    labels + [IGNORED] * missing,
                    documents + [0] * missing,
                    positions + list(range(missing)),
                )
            )
        yield tuple(torch.tensor(column) for column in zip(*sequences, strict=True))


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
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args(arguments)
    wordnet = options.wordnet if (options.wordnet / "data.noun").is_file() else None
    corpus = sample_corpus(wordnet)
    print(
        f"{len(corpus.texts)} sections, {len(corpus.pairs)} pairs, "
        f"{len(corpus.definitions)} definitions",
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
