"""The preflight: whether a training can work at all, before any paid minute of it.

What lives here: checks of tokens, masks, layers, gradients, cache and learning, on a few rows and
the real base, and their stored report. What does not: the estimate of time and memory
(:mod:`supportbot_dagster.training.plan`), the training (:mod:`supportbot_dagster.training.lora`),
and the GGUF converter, which is handed in because it lives further up.

It runs on the device that training would choose, in its precision, and needs the memory of the
base's weights and of one row's activations. A few dozen steps on the shortest row take
seconds on a GPU and minutes on a CPU, for eight billion parameters as well.
"""

import importlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.training.catalogue import Base, LoraSettings, find_base
from supportbot_dagster.training.chat_template import plain_template, read_template
from supportbot_dagster.training.device import Device, choose_device, load_base
from supportbot_dagster.training.encode import IGNORED, Example, encode_rows, prompt_ids
from supportbot_dagster.training.launch import training_environment
from supportbot_dagster.training.plan import language_layers, model_shape

if TYPE_CHECKING:
    import torch

Runtime = Callable[[Path], Collection[int]]
"""Converts a model folder's tokenizer for the runtime and gives the ids at which that stops.

Raises UserError where the converter does not know the architecture, tokenizer or template.
"""

REPORT = "preflight.json"
"""Name of the report inside the ``training_plan`` artifact."""

RESULTS = (
    "converter",
    "template",
    "bos",
    "completion_mask",
    "end_of_turn",
    "memory",
    "adapter_layers",
    "adapter_gradients",
    "cache",
    "overfit",
)
"""Names of all results, in order."""

_SAMPLE_ROWS = 64
_LEAST_ANSWER_TOKENS = 12
_LONGEST_CACHE_TOKENS = 768
"""Past Gemma 4's sliding window of 512."""
_SMALL_B = 0.01
_MAX_STEPS = 120
_SMALL_STEPS = 20
_LEARNED = 0.9
"""The loss must at least fall to this share, or nothing was learned that was not known before."""
_HALF_SCALE = 1024.0
"""Small gradients would vanish in fp16; AdamW does not mind the scale."""
_LOSS_TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 1e-2}
_ROOM = 0.9


@dataclass(frozen=True)
class PreflightResult:
    """One result.

    Args:
        name: one of :data:`RESULTS`.
        passed: whether it holds.
        detail: in words, with figures.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class PreflightReport:
    """All results.

    Args:
        base: key of the base.
        device: where the model was run, and in which precision.
        results: one for each of :data:`RESULTS`.
        seconds: wall clock.
        peak_memory_gib: highest memory of the device, or of the process on a CPU.
    """

    base: str
    device: str
    results: tuple[PreflightResult, ...]
    seconds: float
    peak_memory_gib: float

    @property
    def passed(self) -> bool:
        """Whether every result is there and holds."""
        names = tuple(result.name for result in self.results)
        return names == RESULTS and all(result.passed for result in self.results)

    @property
    def failures(self) -> str:
        """What failed, in one line; empty if nothing."""
        failed = [f"{item.name}: {item.detail}" for item in self.results if not item.passed]
        missing = [name for name in RESULTS if name not in {item.name for item in self.results}]
        return "; ".join([*failed, *(f"{name}: not checked" for name in missing)])

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "passed": self.passed}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "PreflightReport":
        """The inverse of :meth:`to_dict`.

        Raises:
            UserError: if the value is no report.
        """
        try:
            return cls(
                base=str(value["base"]),
                device=str(value["device"]),
                results=tuple(
                    PreflightResult(str(item["name"]), item["passed"] is True, str(item["detail"]))
                    for item in value["results"]
                ),
                seconds=float(value["seconds"]),
                peak_memory_gib=float(value["peak_memory_gib"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{REPORT} is no preflight report ({error}). Materialize training_plan again."
            ) from None


def require_passed(value: Mapping[str, Any]) -> PreflightReport:
    """The stored report, refused unless it passed.

    Args:
        value: the JSON of :data:`REPORT`.

    Raises:
        UserError: naming what failed.
    """
    report = PreflightReport.from_dict(value)
    if not report.passed:
        raise UserError(
            f"The preflight of {report.base} failed, so nothing is trained: {report.failures}. "
            "Mend it and materialize training_plan again."
        )
    return report


def preflight(
    base: Base,
    base_dir: Path,
    rows: Sequence[Mapping[str, Any]],
    settings: LoraSettings,
    *,
    runtime: Runtime,
    progress: Progress = silent,
) -> PreflightReport:
    """Check a base with the rows and settings that it is to be trained with.

    Args:
        base: the catalogue's entry.
        base_dir: its snapshot.
        rows: training rows; a sample of them is used.
        settings: of the adapter.
        runtime: see :data:`Runtime`.
        progress: told after each result.

    Returns:
        A report with one result for each of :data:`RESULTS`; what fails is told there and raises
        nothing.
    """
    start = time.perf_counter()
    results: list[PreflightResult] = []
    device = "none"

    def add(found: Sequence[PreflightResult]) -> None:
        for result in found:
            results.append(result)
            progress(f"preflight {result.name}", len(results), len(RESULTS))

    tokens, examples, stops = token_results(base, base_dir, rows, settings, runtime)
    add(tokens)
    with _measured_memory() as peak:
        memory, place = _memory_result(base_dir, settings)
        add([memory])
        if place is not None and examples:
            device = _device_name(place)
            model = _load(base_dir, place)
            add(model_results(model, examples, base.target_modules, settings, stops))
            del model
    missing = RESULTS[len(results) :]
    reason = "not run: " + ("the base is not loaded" if examples else "no row can be encoded")
    add([PreflightResult(name, False, reason) for name in missing])
    return PreflightReport(
        base=base.key,
        device=device,
        results=tuple(results),
        seconds=round(time.perf_counter() - start, 1),
        peak_memory_gib=round(peak(), 2),
    )


def preflight_apart(
    base: Base,
    base_dir: Path,
    train_file: Path,
    settings: LoraSettings,
    *,
    runtime: Runtime,
    progress: Progress = silent,
) -> PreflightReport:
    """The same in a process of its own, which gives all its memory back and may be killed for it.

    Args:
        base: the catalogue's entry.
        base_dir: its snapshot.
        train_file: rows of the train split.
        settings: of the adapter.
        runtime: asked in this process.
        progress: told after each result.

    Raises:
        UserError: if the process ends without a report; the message carries its last words.
    """
    order: dict[str, Any] = {
        "base": base.key,
        "target_modules": base.target_modules,
        "end_of_turn": base.end_of_turn,
        "base_dir": str(base_dir),
        "train_file": str(train_file),
        "settings": asdict(settings),
    }
    try:
        order["stops"] = sorted(runtime(base_dir))
    except UserError as error:
        order["refused"] = str(error)
    with tempfile.TemporaryDirectory(prefix="supportbot-preflight-") as scratch:
        folder = Path(scratch)
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        command = [sys.executable, "-m", __spec__.name, scratch]
        with (
            (folder / "errors.txt").open("w+", encoding="utf-8", errors="replace") as errors,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env=training_environment(),
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                with suppress(ValueError):
                    label, done, total = json.loads(line)
                    progress(label, done, total)
        if not (folder / REPORT).is_file():
            said = (folder / "errors.txt").read_text(encoding="utf-8", errors="replace")
            raise UserError(_last_words(process.returncode, said))
        return PreflightReport.from_dict(json.loads((folder / REPORT).read_text(encoding="utf-8")))


def _last_words(code: int, said: str) -> str:
    if code == -signal.SIGKILL:
        return (
            "The preflight was killed by the system, most likely for want of memory. Use a larger "
            "machine or a smaller base."
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = lines[-1] if lines else "it said nothing"
    return f"The preflight ended without a report (exit code {code}): {reason}"


def main(folder: Path) -> None:
    """Carry out the order that :func:`preflight_apart` left in a folder."""
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    base = replace(
        find_base(order["base"]),
        target_modules=order["target_modules"],
        end_of_turn=order["end_of_turn"],
    )

    def runtime(base_dir: Path) -> list[int]:
        if "refused" in order:
            raise UserError(order["refused"])
        return list(order["stops"])

    def tell(label: str, done: int, total: int | None) -> None:
        sys.stdout.write(json.dumps([label, done, total]) + "\n")
        sys.stdout.flush()

    report = preflight(
        base,
        Path(order["base_dir"]),
        read_jsonl(Path(order["train_file"])),
        LoraSettings(**order["settings"]),
        runtime=runtime,
        progress=tell,
    )
    write_report(report, folder)


# --- tokens ---


def token_results(
    base: Base,
    base_dir: Path,
    rows: Sequence[Mapping[str, Any]],
    settings: LoraSettings,
    runtime: Runtime,
) -> tuple[list[PreflightResult], list[Example], tuple[int, ...]]:
    """What can be told without the model.

    Returns:
        The results, the encoded sample, and the ids at which the runtime stops.
    """
    from transformers import AutoTokenizer

    results: list[PreflightResult] = []
    stops: tuple[int, ...] = ()
    try:
        stops = tuple(sorted(runtime(base_dir)))
        results.append(
            PreflightResult("converter", True, f"converted; the runtime stops at {len(stops)} ids")
        )
    except UserError as error:
        results.append(PreflightResult("converter", False, str(error)))
    results.append(_template_result(base_dir))
    tokenizer = AutoTokenizer.from_pretrained(base_dir)
    sample = _spread(rows, _SAMPLE_ROWS)
    results.append(_bos_result(tokenizer, sample))
    examples: list[Example] = []
    kept: list[Mapping[str, Any]] = []
    problem = "" if sample else "there are no rows"
    for row in sample:
        try:
            found, _ = encode_rows(tokenizer, [row], settings.max_length)
        except UserError as error:
            problem = problem or str(error)
            continue
        examples += found
        kept += [row] * len(found)
    if sample and not examples:
        problem = problem or f"no row fits {settings.max_length} tokens"
    results.append(
        PreflightResult("completion_mask", False, problem)
        if problem
        else _mask_result(tokenizer, kept, examples)
    )
    results.append(_end_result(tokenizer, base, examples, stops))
    return results, examples, stops


def _spread(rows: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """That many rows from the whole length of the list."""
    step = max(1, math.ceil(len(rows) / count))
    return list(rows[::step])


def _template_result(base_dir: Path) -> PreflightResult:
    template = read_template(base_dir)
    if not template:
        return PreflightResult("template", False, f"{base_dir} has no chat template")
    plain = plain_template(template)
    if plain is None:
        return PreflightResult(
            "template", False, "the chat template is of no known family (Gemma 4, Llama 3, pocket)"
        )
    if plain != template:
        return PreflightResult(
            "template",
            False,
            "the chat template is not the plain one that the GGUF will carry, so training and "
            "serving would see different prompts. Materialize base_model again",
        )
    return PreflightResult("template", True, "the plain template that the GGUF will carry")


def _bos_result(tokenizer: Any, rows: Sequence[Mapping[str, Any]]) -> PreflightResult:
    if tokenizer.bos_token_id is None:
        return PreflightResult("bos", False, "the tokenizer has no BOS token")
    if not rows:
        return PreflightResult("bos", False, "there are no rows")
    counts = [
        prompt_ids(tokenizer, row["instruction"]).count(tokenizer.bos_token_id) for row in rows
    ]
    wrong = [count for count in counts if count != 1]
    if wrong:
        return PreflightResult(
            "bos", False, f"{len(wrong)} of {len(rows)} prompts have {wrong[0]} BOS, not one"
        )
    first = prompt_ids(tokenizer, rows[0]["instruction"])[0] == tokenizer.bos_token_id
    return PreflightResult(
        "bos",
        first,
        f"exactly one {tokenizer.bos_token} in each of {len(rows)} prompts"
        + ("" if first else ", but not in front"),
    )


def _mask_result(
    tokenizer: Any, rows: Sequence[Mapping[str, Any]], examples: Sequence[Example]
) -> PreflightResult:
    """What carries loss must read as the answer and an end-of-turn token, and be one piece."""
    ends: set[str] = set()
    learned = total = 0
    special = set(tokenizer.all_special_tokens) | {
        str(token) for token in getattr(tokenizer, "added_tokens_decoder", {}).values()
    }
    for row, example in zip(rows, examples, strict=True):
        ids, labels = example["input_ids"], example["labels"]
        places = [place for place, label in enumerate(labels) if label != IGNORED]
        total += len(ids)
        learned += len(places)
        if not places or places != list(range(places[0], places[0] + len(places))):
            return PreflightResult("completion_mask", False, "the tokens with loss have gaps")
        if [labels[place] for place in places] != [ids[place] for place in places]:
            return PreflightResult(
                "completion_mask", False, "labels are not the tokens at their places"
            )
        text = tokenizer.decode(
            [ids[place] for place in places],
            skip_special_tokens=False,
            clean_up_tokenization_spaces=False,
        )
        answer = str(row["output"]).strip()
        if not text.lstrip().startswith(answer):
            return PreflightResult(
                "completion_mask",
                False,
                f"loss begins at {text[:40]!r}, the answer at {answer[:40]!r}",
            )
        ends.add(text.lstrip()[len(answer) :].strip())
    if len(ends) != 1 or not ends <= special:
        return PreflightResult(
            "completion_mask",
            False,
            f"behind the answer carries loss: {sorted(ends)[0][:60]!r}, not one end-of-turn token",
        )
    return PreflightResult(
        "completion_mask",
        True,
        f"{learned} of {total} tokens of {len(rows)} rows carry loss: the answer and {ends.pop()}",
    )


def _end_result(
    tokenizer: Any, base: Base, examples: Sequence[Example], stops: Sequence[int]
) -> PreflightResult:
    wanted = tokenizer.convert_tokens_to_ids(base.end_of_turn)
    if not examples:
        return PreflightResult("end_of_turn", False, "no row can be encoded")
    if wanted is None or wanted == tokenizer.unk_token_id:
        return PreflightResult(
            "end_of_turn", False, f"the tokenizer does not know {base.end_of_turn}"
        )
    learned = sum(wanted in example["labels"][-3:] for example in examples)
    if learned != len(examples):
        return PreflightResult(
            "end_of_turn",
            False,
            f"{base.end_of_turn} is learned in {learned} of {len(examples)} rows, so the bot would "
            "not stop",
        )
    if wanted not in stops:
        return PreflightResult(
            "end_of_turn",
            False,
            f"the runtime does not stop at {base.end_of_turn} (id {wanted}); it stops at "
            f"{tokenizer.convert_ids_to_tokens(list(stops[:6]))}",
        )
    return PreflightResult(
        "end_of_turn",
        True,
        f"{base.end_of_turn} (id {wanted}) is learned in every row, and the runtime stops at it",
    )


# --- the model ---


def _memory_result(base_dir: Path, settings: LoraSettings) -> tuple[PreflightResult, Device | None]:
    """Whether the device that training will choose has room for the weights."""
    import torch

    try:
        device = choose_device(settings, base_dir)
        shape = model_shape(base_dir, "", settings)
    except UserError as error:
        return PreflightResult("memory", False, str(error)), None
    width = 2 if device.on_gpu and device.precision != "fp32" else 4
    needed = shape.parameters * width
    if device.four_bit:
        needed -= shape.multiplied * width * 3 // 4
    free = float(torch.cuda.mem_get_info()[0]) if device.on_gpu else _free_memory()
    name = _device_name(device)
    if needed < _ROOM * free:
        return PreflightResult(
            "memory",
            True,
            f"{needed / 2**30:.2f} GiB of weights, {free / 2**30:.1f} free on {name}",
        ), device
    return PreflightResult(
        "memory",
        False,
        f"{needed / 2**30:.1f} GiB of weights do not fit the {free / 2**30:.1f} GiB that are free "
        f"on {name}. Use a larger machine, a smaller base, or on a GPU "
        "model.training.load_in_4bit",
    ), None


def _device_name(device: Device) -> str:
    import torch

    if not device.on_gpu:
        # As in training the weights are in 32 bit; autocast, which is for speed, is left out.
        return "cpu, fp32"
    bits = ", base in 4 bit" if device.four_bit else ""
    return f"{torch.cuda.get_device_name()}, {device.precision}{bits}"


def _free_memory() -> float:
    """Bytes that this process may still take, infinite where the system does not say."""
    free = math.inf
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text(encoding="utf-8").strip()
        if limit != "max":
            used = int((group / "memory.current").read_text(encoding="utf-8"))
            free = min(free, int(limit) - used)
    except (OSError, ValueError):
        pass
    return free


def _load(base_dir: Path, device: Device) -> Any:
    logging: Any = importlib.import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model = load_base(base_dir, device)
    finally:
        if shown:
            logging.enable_progress_bar()
    return model.to("cuda") if device.on_gpu and not device.four_bit else model


@contextmanager
def _measured_memory() -> Iterator[Callable[[], float]]:
    """Gives a function that tells the peak in GiB: of the GPU, or else of this process."""
    import resource

    import torch

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()

    def peak() -> float:
        if on_gpu:
            return float(torch.cuda.max_memory_allocated()) / 2**30
        unit = 1 if os.uname().sysname == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30

    try:
        yield peak
    finally:
        if on_gpu:
            torch.cuda.empty_cache()


def model_results(
    model: Any,
    examples: Sequence[Example],
    target_modules: str,
    settings: LoraSettings,
    stops: Collection[int],
) -> list[PreflightResult]:
    """What can be told from the model alone.

    Args:
        model: the base, loaded; it is wrapped with an adapter, and of no use afterwards.
        examples: encoded rows.
        target_modules: regular expression of the layers that get adapters.
        settings: of the adapter.
        stops: ids at which the runtime stops; an answer must come to one of them by itself.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(settings.seed)
    expected = set(language_layers(model))
    try:
        peft = get_peft_model(
            model,
            LoraConfig(
                r=settings.lora_rank,
                lora_alpha=settings.lora_alpha,
                lora_dropout=0.0,
                target_modules=target_modules,
                task_type="CAUSAL_LM",
            ),
        )
    except ValueError as error:
        reason = str(error).splitlines()[0]
        return [
            PreflightResult("adapter_layers", False, f"no adapter can be made: {reason}"),
            *(
                PreflightResult(name, False, "not run: there is no adapter")
                for name in ("adapter_gradients", "cache", "overfit")
            ),
        ]
    short = _shortest(examples)
    long = max(
        (example for example in examples if len(example["input_ids"]) <= _LONGEST_CACHE_TOKENS),
        key=lambda example: len(example["input_ids"]),
        default=short,
    )
    results = [_layers_result(peft, expected)]
    with torch.no_grad():
        # As initialized B is zero, and then the gradient of A is zero as well.
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, _SMALL_B)
    results.append(_gradients_result(peft, short))
    results.append(_cache_result(peft, long))
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.zero_()
    results.append(_overfit_result(peft, short, stops))
    return results


def _shortest(examples: Sequence[Example]) -> Example:
    """The cheapest row that still has something to learn."""
    worth = [
        example
        for example in examples
        if sum(label != IGNORED for label in example["labels"]) >= _LEAST_ANSWER_TOKENS
    ]
    return min(worth or examples, key=lambda example: len(example["input_ids"]))


def _layers_result(peft: Any, expected: set[str]) -> PreflightResult:
    adapted = {
        name.removeprefix("base_model.model.")
        for name, module in peft.named_modules()
        if hasattr(module, "lora_A")
    }
    outside, without = sorted(adapted - expected), sorted(expected - adapted)
    detail = f"{len(adapted & expected)} of {len(expected)} layers of the language model"
    if outside:
        return PreflightResult(
            "adapter_layers",
            False,
            f"{detail}, and {len(outside)} outside of it, such as {outside[0]}",
        )
    if without:
        return PreflightResult("adapter_layers", False, f"{detail}; none on {without[0]}")
    return PreflightResult("adapter_layers", True, f"{detail}, none outside of it")


def _tensors(peft: Any, example: Example) -> tuple["torch.Tensor", "torch.Tensor"]:
    import torch

    device = next(peft.parameters()).device
    return (
        torch.tensor([example["input_ids"]], device=device),
        torch.tensor([example["labels"]], device=device),
    )


def _dtype(peft: Any) -> str:
    """Precision of the base's weights, without ``torch.``."""
    return str(peft.get_input_embeddings().weight.dtype).removeprefix("torch.")


def _scale(peft: Any) -> float:
    return _HALF_SCALE if _dtype(peft) == "float16" else 1.0


def _loss(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Mean cross-entropy of the labelled tokens; ``logits[i]`` predicts ``labels[i + 1]``."""
    import torch

    return torch.nn.functional.cross_entropy(
        logits[0, :-1].float(), labels[0, 1:], ignore_index=IGNORED
    )


def _answer_begin(example: Example) -> int:
    """Place of the first token that carries loss."""
    return next(place for place, label in enumerate(example["labels"]) if label != IGNORED)


def _answer_loss(
    peft: Any, ids: "torch.Tensor", labels: "torch.Tensor", begin: int
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Logits from the one that predicts the answer's first token on, and the loss, as training.

    The head works at those places alone: it is the largest matrix of a small base.
    """
    logits = peft(input_ids=ids, use_cache=False, logits_to_keep=ids.shape[1] - begin + 1).logits
    return logits, _loss(logits, labels[:, begin - 1 :])


def _gradients_result(peft: Any, example: Example) -> PreflightResult:
    import torch

    ids, labels = _tensors(peft, example)
    peft.train()
    peft.zero_grad(set_to_none=True)
    _, loss = _answer_loss(peft, ids, labels, _answer_begin(example))
    if not torch.isfinite(loss):
        return PreflightResult("adapter_gradients", False, f"the loss is {loss.item()}")
    scale = _scale(peft)
    (loss * scale).backward()
    norms: dict[str, float] = {}
    foreign: list[str] = []
    for name, weight in peft.named_parameters():
        if "lora_" not in name:
            if weight.requires_grad or weight.grad is not None:
                foreign.append(name)
            continue
        norms[name] = 0.0 if weight.grad is None else float(weight.grad.float().norm()) / scale
    peft.zero_grad(set_to_none=True)
    peft.eval()
    if foreign:
        return PreflightResult(
            "adapter_gradients",
            False,
            f"{len(foreign)} weights of the base get gradients as well, such as {foreign[0]}",
        )
    bad = [name for name, norm in norms.items() if not math.isfinite(norm)]
    if bad:
        return PreflightResult("adapter_gradients", False, f"the gradient of {bad[0]} is no number")
    top = max(norms.values(), default=0.0)
    dead = [name for name, norm in norms.items() if norm <= 1e-9 * top]
    if dead:
        return PreflightResult(
            "adapter_gradients",
            False,
            f"{len(dead)} of {len(norms)} adapter matrices get no gradient, such as "
            f"{dead[0].removeprefix('base_model.model.')}",
        )
    return PreflightResult(
        "adapter_gradients",
        True,
        f"all {len(norms)} adapter matrices, norms {min(norms.values()):.1e} to {top:.1e}; none on "
        "the base's own weights",
    )


def _cache_result(peft: Any, example: Example) -> PreflightResult:
    """The loss without a cache, with one, and answered token by token from a filled one."""
    import torch

    ids, labels = _tensors(peft, example)
    tolerance = _LOSS_TOLERANCE.get(_dtype(peft), 2e-2)
    begin = _answer_begin(example)
    peft.eval()
    with torch.no_grad():
        without = float(_loss(peft(input_ids=ids, use_cache=False).logits, labels))
        with_one = float(_loss(peft(input_ids=ids, use_cache=True).logits, labels))
        prompt = peft(input_ids=ids[:, :begin], use_cache=True)
        answer = peft(
            input_ids=ids[:, begin:], past_key_values=prompt.past_key_values, use_cache=True
        )
        stepped = float(_loss(torch.cat([prompt.logits, answer.logits], dim=1), labels))
    worst = max(abs(with_one - without), abs(stepped - without))
    detail = (
        f"loss {without:.5f} without, {with_one:.5f} with, {stepped:.5f} from a filled cache, over "
        f"{len(example['input_ids'])} tokens"
    )
    return PreflightResult("cache", worst <= tolerance * max(1.0, without), detail)


def _overfit_result(peft: Any, example: Example, stops: Collection[int]) -> PreflightResult:
    """Learn one row by heart, and answer it greedily as the runtime would, cache and all."""
    import torch

    ids, labels = _tensors(peft, example)
    begin = _answer_begin(example)
    wanted = example["input_ids"][begin:]
    # Up to the end of the turn: what a template prints behind it is never generated.
    end = next((place + 1 for place, token in enumerate(wanted) if token in set(stops)), None)
    if end is None:
        return PreflightResult("overfit", False, "the answer holds no token at which it stops")
    weights = [weight for weight in peft.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.0)
    peft.train()
    first = loss_now = math.nan
    right = step = 0
    scale = _scale(peft)
    for step in range(1, _MAX_STEPS + 1):
        if step == _SMALL_STEPS:
            # Small steps suit a model that knows a language; one that does not needs larger ones.
            for group in optimizer.param_groups:
                group["lr"] = 5e-3
        logits, loss = _answer_loss(peft, ids, labels, begin)
        loss_now = loss.item()
        first = loss_now if step == 1 else first
        if not math.isfinite(loss_now):
            return PreflightResult("overfit", False, f"the loss is {loss_now} after {step} steps")
        said = logits[0, :end].argmax(dim=-1).tolist()
        right = sum(a == b for a, b in zip(said, wanted[:end], strict=True))
        if right == end and loss_now < _LEARNED * first:
            break
        optimizer.zero_grad(set_to_none=True)
        (loss * scale).backward()
        torch.nn.utils.clip_grad_norm_(weights, scale)
        optimizer.step()
    peft.eval()
    answer = _greedy(peft, ids[:, :begin], len(wanted) + 8, stops)
    detail = f"loss {first:.3f} to {loss_now:.3f} in {step} steps"
    if answer == wanted[:end]:
        return PreflightResult("overfit", True, f"{detail}, {end} tokens answered exactly")
    same = sum(a == b for a, b in zip(answer, wanted[:end], strict=False))
    return PreflightResult(
        "overfit",
        False,
        f"{detail}, but only {same} of {end} tokens are answered ({right} learned)",
    )


def _greedy(peft: Any, prompt: "torch.Tensor", most: int, stops: Collection[int]) -> list[int]:
    """The most probable tokens, with a cache, up to one at which the runtime stops."""
    import torch

    said: list[int] = []
    past, ids = None, prompt
    with torch.no_grad():
        while len(said) < most:
            out = peft(input_ids=ids, past_key_values=past, use_cache=True)
            token = int(out.logits[0, -1].argmax())
            said.append(token)
            if token in stops:
                break
            past, ids = out.past_key_values, prompt.new_tensor([[token]])
    return said


def write_report(report: PreflightReport, folder: Path) -> None:
    """Store a report under its name in a folder."""
    text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
    (folder / REPORT).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
