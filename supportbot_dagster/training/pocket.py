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
"""

import argparse
import json
import math
import pickle
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.training.encode import IGNORED
from supportbot_dagster.training.noise import noisy
from supportbot_dagster.training.pocket_examples import (
    Corpus,
    is_answerable,
    question_ids,
    stream_batches,
)
from supportbot_dagster.training.pocket_tokenizer import train_tokenizer

VOCABULARY = 4096
WIDTH, LAYERS, FEED_FORWARD, HEADS = 256, 6, 768, 4
"""Widths are multiples of 256, so that every matrix takes K-quants."""
DROPOUT = 0.15
"""Of the embeddings and of what each half of a layer adds, in training."""
LABEL_SMOOTHING = 0.05
"""Of the topics."""
TOPIC_WEIGHT = 1.0
"""Weight of the topic loss beside the loss of the words."""
MATRIX_RATE, VECTOR_RATE = 3e-3, 2e-3
"""Peak learning rates: Muon's for the matrices of the layers (scaled to AdamW's update size), and
AdamW's for embeddings, norms and heads."""
WEIGHT_DECAY = 0.05
WARM_UP, FINAL_SHARE = 100, 0.02
SAY_EVERY, WATCH_EVERY = 50, 500


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Args:
        steps: optimizer updates.
        rate: peak of the learning rates, as a share of :data:`MATRIX_RATE` and
            :data:`VECTOR_RATE`.
        start: folder of a base to go on from, tokenizer and weights; None starts from nothing.
        head: file of the topic head: read if ``start`` is given and there is one, written in the
            end; None forgets it.
        seed: of the initialization, the order of the examples and their noise.
        workers: processes that make batches; another number gives other batches.
        device: of PyTorch.
        compiled: fuse the model's kernels first.
    """

    steps: int = 4900
    rate: float = 1.0
    start: Path | None = None
    head: Path | None = None
    seed: int = 0
    workers: int = 14
    device: str = "cpu"
    compiled: bool = False


def train_base(corpus: Corpus, out_dir: Path, recipe: Recipe) -> None:
    """Train the tokenizer and the model and write both in the Hugging Face layout.

    Args:
        corpus: what to learn from.
        out_dir: gets the snapshot.
        recipe: how.

    Raises:
        UserError: if the base or the topic head to go on from is missing or does not fit.
    """
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    head = torch.nn.Linear(WIDTH, len(corpus.topics))
    if recipe.start is not None:
        _check_base(recipe.start, "--start")
        if recipe.head is not None and recipe.head.exists():
            _load_head(head, recipe.head, corpus)
    # A training that is killed must not leave a new tokenizer beside old weights.
    with tempfile.TemporaryDirectory() as staging:
        folder = Path(staging)
        if recipe.start is None:
            lines = _tokenizer_lines(corpus, random.Random(recipe.seed))
            train_tokenizer(lines, VOCABULARY, folder)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = _new_model(tokenizer)
        else:
            shutil.copytree(recipe.start, folder, dirs_exist_ok=True)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = LlamaForCausalLM.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="sdpa"
            )
        model.to(recipe.device).train()
        head.to(recipe.device)
        hooks = _add_dropout(model)
        _learn(model, head, corpus, tokenizer, recipe)
        for hook in hooks:
            hook.remove()
        _save(model, folder)
        shutil.copytree(folder, out_dir, dirs_exist_ok=True)
    if recipe.head is not None:
        weights = {name: weight.cpu() for name, weight in head.state_dict().items()}
        torch.save({"topics": list(corpus.topics), "weights": weights}, recipe.head)


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


def _load_head(head: Any, path: Path, corpus: Corpus) -> None:
    import torch

    try:
        kept = torch.load(path, weights_only=True)
        topics, weights = kept["topics"], kept["weights"]
    except (OSError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError):
        raise UserError(
            f"{path} is no topic head. Leave --head out, or name a new file, for a new head."
        ) from None
    if topics != list(corpus.topics):
        raise UserError(
            f"The topic head {path} was trained on other topics than this corpus has. "
            "Leave --head out, or name a new file, for a new head."
        )
    head.load_state_dict(weights)


def _learn(model: Any, head: Any, corpus: Corpus, tokenizer: Any, recipe: Recipe) -> None:
    import torch

    steps = recipe.steps
    optimizers = _Optimizers(model, head, steps, recipe.rate)
    losses = _Losses(model, head)
    compute = torch.compile(losses, dynamic=False) if recipe.compiled else losses
    batches = stream_batches(corpus, tokenizer, recipe.seed, recipe.workers)
    started, total, count = time.monotonic(), torch.zeros(2, device=recipe.device), 0
    for step in range(1, steps + 1):
        batch = [column.to(recipe.device, non_blocking=True) for column in next(batches)]
        word_loss, topic_loss = compute(*batch)
        (word_loss + TOPIC_WEIGHT * topic_loss).backward()
        optimizers.step(step)
        total += torch.stack([word_loss.detach(), topic_loss.detach()])
        count += 1
        if step % SAY_EVERY and step != steps:
            continue
        words, topics = (total / count).tolist()
        total.zero_()
        count = 0
        watched = ""
        if step % WATCH_EVERY == 0 or step == steps:
            watched = _watch(model, head, corpus, tokenizer, recipe.device)
        print(
            f"  step {step} of {steps}, loss of words {words:.3f}, of topics {topics:.3f}, "
            f"{time.monotonic() - started:.0f} s{watched}",
            file=sys.stderr,
            flush=True,
        )


def _new_model(tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

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


def _add_dropout(model: Any) -> list[Any]:
    """Dropout where the architecture has none: hooks that the trained model does not keep."""
    import torch

    def drop(module: Any, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (drop(module, inputs, output[0]), *output[1:])
        return torch.nn.functional.dropout(output, DROPOUT, training=module.training)

    parts = [model.model.embed_tokens]
    for layer in model.model.layers:
        parts += [layer.self_attn, layer.mlp]
    return [part.register_forward_hook(drop) for part in parts]


class _Optimizers:
    """Muon for the layers' matrices, AdamW for the rest, on one schedule.

    Muon takes about half the updates of AdamW here; see https://kellerjordan.github.io/posts/muon.
    """

    def __init__(self, model: Any, head: Any, steps: int, rate: float) -> None:
        import torch

        self._weights = [*model.parameters(), *head.parameters()]
        self._steps = steps
        matrices = [weight for weight in model.model.layers.parameters() if weight.dim() == 2]
        known = {id(weight) for weight in matrices}
        others = [weight for weight in self._weights if id(weight) not in known]
        self._all = [
            torch.optim.Muon(
                matrices,
                lr=MATRIX_RATE * rate,
                weight_decay=WEIGHT_DECAY,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                others,
                lr=VECTOR_RATE * rate,
                betas=(0.9, 0.98),
                weight_decay=WEIGHT_DECAY,
                fused=True,
            ),
        ]
        self._peaks = [one.defaults["lr"] for one in self._all]

    def step(self, number: int) -> None:
        """Clip the gradients, update, and forget them; ``number`` counts from 1."""
        import torch

        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        share = _schedule(number, self._steps)
        for one, peak in zip(self._all, self._peaks, strict=True):
            for group in one.param_groups:
                group["lr"] = peak * share
            one.step()
            one.zero_grad(set_to_none=True)


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to :data:`FINAL_SHARE`."""
    if step < WARM_UP:
        return step / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done))


class _Losses:
    """The loss of the words and the loss of the topics of a packed batch."""

    def __init__(self, model: Any, head: Any) -> None:
        self._model, self._head = model, head

    def __call__(
        self, ids: Any, labels: Any, weights: Any, classes: Any, documents: Any, positions: Any
    ) -> tuple[Any, Any]:
        import torch

        with torch.autocast(ids.device.type, dtype=torch.bfloat16):
            hidden = self._model.model(
                input_ids=ids,
                attention_mask=_mask(documents),
                position_ids=positions,
                use_cache=False,
            ).last_hidden_state
            logits = self._model.lm_head(hidden)
            scores = self._head(hidden)
        word_losses = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
        )
        topic_loss = torch.nn.functional.cross_entropy(
            scores.float().flatten(0, 1),
            classes.flatten(),
            ignore_index=IGNORED,
            label_smoothing=LABEL_SMOOTHING,
        )
        return (word_losses * weights.flatten()).sum() / weights.sum(), topic_loss


def _mask(documents: Any) -> Any:
    """Causal mask [B, 1, T, T], true where to look, that keeps each packed document to itself."""
    import torch

    length = documents.shape[1]
    same = documents[:, None, :] == documents[:, :, None]
    causal = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    return (same & causal)[:, None]


def _watch(model: Any, head: Any, corpus: Corpus, tokenizer: Any, device: str) -> str:
    """How well the questions held back are read."""
    import torch

    prompts = [question_ids(tokenizer, asked.question) for asked in corpus.watched]
    longest = max(map(len, prompts))
    pad = tokenizer.pad_token_id
    ids = torch.tensor([prompt + [pad] * (longest - len(prompt)) for prompt in prompts])
    last = torch.tensor([len(prompt) - 1 for prompt in prompts])
    model.eval()
    with torch.no_grad():
        # What pads stands behind the last position, and attention is causal.
        hidden = model.model(input_ids=ids.to(device), use_cache=False).last_hidden_state
        numbers = head(hidden[torch.arange(len(ids)), last.to(device)]).argmax(-1).tolist()
    model.train()
    names = list(corpus.topics)
    found = [(asked, names[number]) for asked, number in zip(corpus.watched, numbers, strict=True)]
    right = [name == asked.topic for asked, name in found if asked.answerable]
    needless = [not is_answerable(name) for asked, name in found if asked.answerable]
    told = [not is_answerable(name) for asked, name in found if not asked.answerable]
    return (
        f"; held back: section right {_percent(right)}, taken for unanswerable "
        f"{_percent(needless)}, unanswerable told {_percent(told)}"
    )


def _percent(values: Sequence[bool]) -> str:
    return f"{100 * sum(values) / max(1, len(values)):.1f} %"


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
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument("--start", type=Path, help="folder of a base to go on from")
    parser.add_argument("--head", type=Path, help="file that keeps the topic head")
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
        return
    if options.corpus:
        corpus = Corpus.read(options.corpus)
    else:
        from supportbot_dagster.training.pocket_corpus import sample_corpus

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
        Recipe(
            options.steps,
            options.rate,
            options.start,
            options.head,
            options.seed,
            options.workers,
            options.device,
            options.compile,
        ),
    )


if __name__ == "__main__":
    main()
