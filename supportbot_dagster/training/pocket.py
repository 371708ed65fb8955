"""How the embedded ``pocket`` base is made: ``python -m supportbot_dagster.training.pocket``.

What lives here: the training of a small Llama-architecture model, from nothing or on from one that
was trained before. What does not: its corpus
(:mod:`supportbot_dagster.training.pocket_corpus`), its examples
(:mod:`supportbot_dagster.training.pocket_examples`), its tokenizer
(:mod:`supportbot_dagster.training.pocket_tokenizer`) and fine-tuning.

The base is trained beforehand and shipped with the package, because its training takes longer than
a first retrain may. A closed-book bot has to tell what a question is about, and to say what it
knows about that. Every batch holds both: questions alone, roughened by customer-like noise, and
questions with their answers. A linear head, thrown away afterwards, reads the topic off the hidden
state from which the answer starts. A question alone is a quarter of the tokens of a question with
its answer, so many more of them are read; without them the words of the answers dilute what is
learned about reading.

Several models are trained at once (:mod:`supportbot_dagster.training.pocket_members`) and learn
from one another and from a linear model, on crossings of questions
(:mod:`supportbot_dagster.training.pocket_crossings`). Their learning rate falls, rises and falls
again. Each member becomes the mean of what it was where a fall ended, and the best is the base.
"""

import argparse
import json
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.noise import noisy
from supportbot_dagster.training.pocket_examples import (
    Corpus,
    is_answerable,
    question_ids,
    stream_batches,
)
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer

if TYPE_CHECKING:
    from supportbot_dagster.training.pocket_members import Members

VOCABULARY = 4096
WIDTH, LAYERS, FEED_FORWARD, HEADS = 256, 6, 768, 4
"""Widths are multiples of 256, so that every matrix takes K-quants."""
AGREE_FROM, AGREE_AT = 0.15, 0.35
"""Shares of the training at which the members begin to learn from one another, and do so fully;
earlier they have nothing to say."""
TOPIC_WEIGHT = 1.0
"""Weight of the topic loss beside the loss of the words."""
WARM_UP, FINAL_SHARE = 100, 0.02
FIRST_CYCLE, LATER_PEAK = 0.64, 0.4
"""Share of the updates that the first fall of the learning rate takes, and from which share of its
peak the later ones fall."""
KEPT = "members.safetensors"
"""All members with their heads, in the folder that keeps them."""
SAY_EVERY, WATCH_EVERY = 50, 500


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Args:
        steps: optimizer updates.
        members: models that are trained at once and learn from one another; the best is written.
        cycles: falls of the learning rate. A member becomes the mean of its weights at their ends,
            which answers better than each of them (https://arxiv.org/abs/2203.05482).
        rate: peak of the learning rates, as a share of those of
            :mod:`supportbot_dagster.training.pocket_members`.
        start: folder to go on from, tokenizer and weights: of a base, from which all members start
            with new topic heads, or of kept members. None starts from nothing.
        keep: folder that gets all members with their topic heads, so that they can be gone on from.
        seed: of the initialization, the order of the examples and their noise.
        workers: processes that make batches; another number gives other batches.
        device: of PyTorch.
        compiled: fuse the model's kernels first.
    """

    steps: int = 15000
    members: int = 4
    cycles: int = 3
    rate: float = 1.0
    start: Path | None = None
    keep: Path | None = None
    seed: int = 0
    workers: int = 14
    device: str = "cpu"
    compiled: bool = False


def train_base(corpus: Corpus, out_dir: Path, recipe: Recipe) -> None:
    """Train the tokenizer and the model and write both in the Hugging Face layout.

    They are written whenever a cycle ends, so a training that is stopped early has left a base.

    Args:
        corpus: what to learn from.
        out_dir: gets the snapshot.
        recipe: how.

    Raises:
        UserError: if what to go on from is missing or does not fit.
    """
    import torch
    from transformers import AutoTokenizer

    from supportbot_dagster.training.pocket_members import Members

    if recipe.start is not None:
        _check_base(recipe.start, "--start")
    # A training that is killed must not leave a new tokenizer beside old weights.
    with tempfile.TemporaryDirectory() as staging:
        folder = Path(staging)
        if recipe.start is None:
            lines = _tokenizer_lines(corpus, random.Random(recipe.seed))
            train_tokenizer(lines, VOCABULARY, folder)
        else:
            skipped = shutil.ignore_patterns(KEPT)
            shutil.copytree(recipe.start, folder, ignore=skipped, dirs_exist_ok=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        models, heads = [], []
        for number in range(recipe.members):
            torch.manual_seed(recipe.seed * recipe.members + number)
            heads.append(torch.nn.Linear(WIDTH, len(corpus.topics)))
            models.append(_model(tokenizer, recipe.start))
        openings = _openings(corpus, tokenizer)
        members = Members(models, heads, openings, recipe.device, recipe.compiled)
        if recipe.start is not None and (recipe.start / KEPT).is_file():
            _load_members(members, recipe.start / KEPT, corpus)
        for best in _learn(members, corpus, tokenizer, recipe):
            models[0].load_state_dict(members.member(best))
            _save(models[0], folder)
            shutil.copytree(folder, out_dir, dirs_exist_ok=True)
            if recipe.keep is not None:
                shutil.copytree(folder, recipe.keep, dirs_exist_ok=True)
                _save_members(members, recipe.keep / KEPT, corpus)


def _check_base(folder: Path, option: str) -> None:
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise UserError(f"{folder} holds no {name}, so it is no whole base. Mend {option}.")


def average_bases(folders: Sequence[Path], out_dir: Path) -> None:
    """Write the mean of the weights of bases that were trained on from one another.

    It answers better than each of them, see https://arxiv.org/abs/2203.05482.

    Args:
        folders: bases of one shape and with one tokenizer.
        out_dir: gets the mean, with the tokenizer and the configuration of the last folder.

    Raises:
        UserError: if a folder is missing, or their tokenizers or shapes differ.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    total: dict[str, Any] = {}
    for folder in folders:
        _check_base(folder, "--average")
        tokenizer = folder / "tokenizer.json"
        try:
            loaded = load_file(folder / "model.safetensors")
        except SafetensorError as error:
            raise UserError(f"{folder / 'model.safetensors'} cannot be read: {error}.") from None
        shapes = {name: weight.shape for name, weight in loaded.items()}
        if total and (
            shapes != {name: weight.shape for name, weight in total.items()}
            or tokenizer.read_bytes() != (folders[0] / "tokenizer.json").read_bytes()
        ):
            raise UserError(f"{folder} has another tokenizer or shape than {folders[0]}.")
        for name, weight in loaded.items():
            total[name] = total.get(name, 0) + weight.float() / len(folders)
    if folders[-1].resolve() != out_dir.resolve():
        shutil.copytree(folders[-1], out_dir, dirs_exist_ok=True)
    save_file(
        {name: weight.to(torch.float16) for name, weight in total.items()},
        out_dir / "model.safetensors",
        metadata={"format": "pt"},
    )


def _save_members(members: "Members", path: Path, corpus: Corpus) -> None:
    import torch
    from safetensors.torch import save_file

    halves = {
        name: weight.detach().to("cpu", torch.float16).contiguous()
        for name, weight in members.weights.items()
    }
    save_file(halves, path, metadata={"topics": json.dumps(list(corpus.topics))})


def _load_members(members: "Members", path: Path, corpus: Corpus) -> None:
    """Kept weights into the members; topics that the corpus has not had keep their new heads."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as kept:
            topics = json.loads((kept.metadata() or {})["topics"])
            names = kept.keys()  # It is no dictionary and cannot be iterated.
            weights = {name: kept.get_tensor(name).float() for name in names}
        rows = [topics.index(topic) if topic in topics else None for topic in corpus.topics]
        with torch.no_grad():
            for name, weight in members.weights.items():
                if name.startswith("topics."):
                    for number, row in enumerate(rows):
                        if row is not None:
                            weight[:, number] = weights[name][:, row]
                elif weight.shape != weights[name].shape:
                    raise ValueError(
                        f"{name} is of {tuple(weights[name].shape)}, not {tuple(weight.shape)}"
                    )
                else:
                    weight.copy_(weights[name])
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(
            f"{path} does not hold such members as are wanted "
            f"({type(error).__name__}: {error}). Mend --start or --members, or remove it to go on "
            "from the base beside it."
        ) from None


def _learn(members: "Members", corpus: Corpus, tokenizer: Any, recipe: Recipe) -> Iterator[int]:
    """Train the members; at the end of a cycle they are their means, and the best one is named."""
    import torch

    from supportbot_dagster.training.pocket_members import StackedOptimizer

    steps, ends = recipe.steps, cycle_ends(recipe.steps, recipe.cycles)
    heard = recipe.start is not None and (recipe.start / KEPT).is_file()
    optimizer = StackedOptimizer(members.weights, recipe.rate)
    batches = stream_batches(corpus, tokenizer, recipe.seed, recipe.workers)
    started, total, count = time.monotonic(), torch.zeros(4, device=recipe.device), 0
    means: dict[str, Any] = {}
    for step in range(1, steps + 1):
        batch = [column.to(recipe.device, non_blocking=True) for column in next(batches)]
        losses = members.losses(*batch)
        together = 1.0 if heard else _agreement_weight(step / steps)
        loss = losses.words + TOPIC_WEIGHT * losses.topics
        loss = loss + together * (losses.agreement + losses.views)
        loss.sum().backward()
        optimizer.step(rate_share(step, ends))
        total += torch.stack([part.mean().detach() for part in losses.each()])
        count += 1
        if step % SAY_EVERY == 0 or step == steps:
            words, topics, apart, views = (total / count).tolist()
            total.zero_()
            count = 0
            _say(
                f"  step {step} of {steps}, loss of words {words:.3f}, of topics {topics:.3f}, "
                f"apart {apart:.3f}, of views {views:.3f}, {time.monotonic() - started:.0f} s"
            )
        if step % WATCH_EVERY == 0 or step in ends:
            _watch_aloud("held back", members, corpus, tokenizer, recipe)
        if step in ends:
            now = {name: weight.detach().clone() for name, weight in members.weights.items()}
            ended = ends.index(step) + 1
            means = {
                name: weight.lerp(means.get(name, weight), 1 - 1 / ended)
                for name, weight in now.items()
            }
            members.load(means)
            watched = _watch_aloud(
                f"held back, mean of {ended}", members, corpus, tokenizer, recipe
            )
            scores = [held.score for held in watched[: recipe.members]]
            yield scores.index(max(scores))
            members.load(now)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _watch_aloud(
    title: str, members: "Members", corpus: Corpus, tokenizer: Any, recipe: Recipe
) -> list["Watched"]:
    watched = watch(members, corpus, tokenizer, recipe.device)
    for name, held in zip(_names(recipe.members), watched, strict=True):
        _say(f"    {title}, {name}: {held}")
    return watched


def _openings(corpus: Corpus, tokenizer: Any) -> list[int]:
    """First token of the answer of each topic, by the topic's number."""
    answers = {asked.topic: asked.answer for asked in (*corpus.pairs, *corpus.deflections)}
    return [
        tokenizer(answers[topic], add_special_tokens=False)["input_ids"][0]
        for topic in corpus.topics
    ]


def _names(members: int) -> list[str]:
    return [*(f"member {number}" for number in range(1, members + 1)), "all together"]


def _agreement_weight(done: float) -> float:
    return min(1.0, max(0.0, (done - AGREE_FROM) / (AGREE_AT - AGREE_FROM)))


def cycle_ends(steps: int, cycles: int) -> list[int]:
    """The updates, counted from 1, after which each cycle of the learning rate ends."""
    first = round(steps * FIRST_CYCLE) if cycles > 1 else steps
    return [first + round((steps - first) * later / max(1, cycles - 1)) for later in range(cycles)]


def rate_share(step: int, ends: Sequence[int]) -> float:
    """Share of the peak rate at an update: in each cycle a warm-up, linear, and a cosine down to
    :data:`FINAL_SHARE`; the later cycles start from :data:`LATER_PEAK`."""
    cycle = next(number for number, end in enumerate(ends) if step <= end)
    begin = ends[cycle - 1] if cycle else 0
    done = (step - begin) / (ends[cycle] - begin)
    fall = FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done))
    return (LATER_PEAK if cycle else 1.0) * min(1.0, (step - begin) / WARM_UP) * fall


def _model(tokenizer: Any, start: Path | None) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    if start is not None:
        import torch

        return LlamaForCausalLM.from_pretrained(
            start, dtype=torch.float32, attn_implementation="sdpa"
        )
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
    return LlamaForCausalLM._from_config(config, attn_implementation="sdpa")


@dataclass(frozen=True)
class Watched:
    """How well questions that were held back are read; shares from 0 to 1.

    Args:
        right: answerable questions whose section is told.
        needless: answerable questions taken for unanswerable.
        told: unanswerable questions told as such.
    """

    right: float
    needless: float
    told: float

    @property
    def score(self) -> float:
        """One figure to choose by."""
        return self.right + self.told - self.needless

    def __str__(self) -> str:
        return (
            f"section right {self.right:.1%}, taken for unanswerable {self.needless:.1%}, "
            f"unanswerable told {self.told:.1%}"
        )


def watch(members: "Members", corpus: Corpus, tokenizer: Any, device: str) -> list[Watched]:
    """How well each member, and in the end their mean, reads the questions held back."""
    import torch

    prompts = [question_ids(tokenizer, asked.question) for asked in corpus.watched]
    longest = max(map(len, prompts))
    pad = tokenizer.pad_token_id
    # What pads stands behind the last position, and attention is causal.
    ids = torch.tensor([prompt + [pad] * (longest - len(prompt)) for prompt in prompts])
    last = torch.tensor([len(prompt) - 1 for prompt in prompts])
    chances = members.topics(ids.to(device), last.to(device))
    names = list(corpus.topics)
    found: list[Watched] = []
    for chance in (*chances, chances.mean(0)):
        told = [names[number] for number in chance.argmax(-1).tolist()]
        both = list(zip(corpus.watched, told, strict=True))
        found.append(
            Watched(
                _share([name == asked.topic for asked, name in both if asked.answerable]),
                _share([not is_answerable(name) for asked, name in both if asked.answerable]),
                _share([not is_answerable(name) for asked, name in both if not asked.answerable]),
            )
        )
    return found


def _share(values: Sequence[bool]) -> float:
    return sum(values) / max(1, len(values))


def _save(model: Any, out_dir: Path) -> None:
    """Weights in 16 bit: what the GGUF stores, and half the package's size."""
    import torch

    model.to("cpu", torch.float16).save_pretrained(out_dir)
    for name in ("config.json", "generation_config.json"):
        config = json.loads((out_dir / name).read_text(encoding="utf-8"))
        config.pop("transformers_version", None)
        (out_dir / name).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _tokenizer_lines(corpus: Corpus, rng: random.Random) -> list[str]:
    questions = [asked.question for asked in (*corpus.pairs, *corpus.deflections)]
    answers = list(dict.fromkeys(asked.answer for asked in corpus.pairs))
    return [
        *corpus.texts * 2,
        *questions,
        *(noisy(question, rng) for question in questions),
        *answers * 3,
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train or average as the command line says; bad input ends in one line and exit code 2."""
    try:
        _main(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _main(arguments: Sequence[str] | None) -> None:
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", type=Path, help="file made by pocket_corpus; default: made now")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pocket_base")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--members", type=int, default=Recipe.members)
    parser.add_argument("--cycles", type=int, default=Recipe.cycles)
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument(
        "--start", type=Path, help="folder of a base, or kept members, to go on from"
    )
    parser.add_argument("--keep", type=Path, help="folder that gets all members")
    parser.add_argument(
        "--average", type=Path, nargs="+", help="train nothing; folders of bases to average"
    )
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--workers", type=int, default=Recipe.workers)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args(arguments)
    if options.average:
        average_bases(options.average, options.out)
        print(f"the mean of {len(options.average)} bases -> {options.out}", file=sys.stderr)
        return
    if options.corpus:
        corpus = Corpus.read(options.corpus)
    else:
        from supportbot_dagster.training.pocket_corpus import training_corpus

        corpus = training_corpus()
    print(
        f"{len(corpus.texts)} sections, {len(corpus.pairs)} pairs, "
        f"{len(corpus.deflections)} deflections, {len(corpus.crossed)} crossings, "
        f"{len(corpus.watched)} held back, "
        f"{corpus.copies} left out as copies of what a bot is tested on",
        file=sys.stderr,
    )
    train_base(
        corpus,
        options.out,
        Recipe(
            options.steps,
            options.members,
            options.cycles,
            options.rate,
            options.start,
            options.keep,
            options.seed,
            options.workers,
            options.device,
            options.compile,
        ),
    )


if __name__ == "__main__":
    main()
