"""Whether a GGUF says the same as the model that it was made from.

What lives here: comparing token ids and next-token distributions of transformers and llama.cpp
at every position. What does not: judging answers (:mod:`supportbot_dagster.evaluation`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.llama import LlamaModel
from supportbot_dagster.export.model_folder import load_model
from supportbot_dagster.export.prompt import render_prompt
from supportbot_dagster.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_TEXTS = (
    "Customer question: How do I export all my issues to CSV?",
    "Customer question: cant figure out where to change my workspace url",
    "Customer question: What's the difference between projects and initiatives?",
    "Customer question: How much is the Business plan, 10,000 seats?",
    "Customer question: does it work with  naïve café names — or emoji 😀?\n\nThanks",
)
"""Questions that are compared when none are given; typos, digits and non-ASCII on purpose."""


@dataclass(frozen=True)
class ParityReport:
    """How far two forms of one model agree.

    Args:
        positions: number of positions compared.
        same_top_token_share: share of the positions whose most probable next token is the same.
        token_ids_identical: whether every text had the same token ids on both sides.
        bos_count: beginning-of-sequence tokens in each chat prompt; 1 is right, 0 means that the
            model has no such token.
        mean_abs_logprob_diff: mean over the positions of the absolute difference between the two
            natural log-probabilities of the reference's most probable token.
        first_difference: where token ids differ first, in words; empty if they do not.
    """

    positions: int
    same_top_token_share: float
    token_ids_identical: bool
    bos_count: int
    mean_abs_logprob_diff: float
    first_difference: str = ""

    @property
    def problems(self) -> list[str]:
        """What makes the file unfit whatever it answers; empty if nothing does."""
        found: list[str] = []
        if not self.token_ids_identical:
            found.append(f"token ids differ from transformers: {self.first_difference}")
        if self.bos_count > 1:
            found.append(f"a prompt holds {self.bos_count} beginning-of-sequence tokens, not one")
        return found


def check_parity(
    hf_dir: Path,
    gguf: Path,
    texts: Sequence[str] = DEFAULT_TEXTS,
    *,
    max_tokens: int = 256,
    threads: int | None = None,
    progress: Progress = silent,
) -> ParityReport:
    """Compare a GGUF with its model folder, on each text plain and as a chat prompt.

    Args:
        hf_dir: model folder (merged); it is run by transformers in 32 bit on the CPU.
        gguf: the file to compare. An F16 file should agree on nearly every top token; a quantized
            one less often, which is information and no error.
        texts: user messages.
        max_tokens: longer token sequences are cut to this many.
        threads: CPU threads; None chooses by the size of the file.
        progress: told about each text.

    Returns:
        The report. Token ids that differ, or two beginning-of-sequence tokens, are in its
        ``problems``: training and serving would not see the same text.

    Raises:
        UserError: if a folder or file cannot be read.
    """
    import numpy as np

    tokenizer = _load_tokenizer(hf_dir)
    same = positions = 0
    difference = 0.0
    with LlamaModel(gguf, n_ctx=max_tokens, threads=threads) as model:
        sequences, bos_count, mismatch = _token_sequences(model, tokenizer, texts)
        reference = load_model(hf_dir, dtype="float32")
        reference.eval()
        for done, ids in enumerate(sequences, start=1):
            ids = ids[:max_tokens]
            expected = _log_softmax(_reference_logits(reference, ids, model.threads))
            found = _log_softmax(model.logits_everywhere(ids))
            width = min(expected.shape[1], found.shape[1])
            expected, found = expected[:, :width], found[:, :width]
            top = expected.argmax(axis=1)
            rows = np.arange(len(ids))
            same += int((found.argmax(axis=1) == top).sum())
            difference += float(np.abs(expected[rows, top] - found[rows, top]).sum())
            positions += len(ids)
            progress("compare with transformers", done, len(sequences))
    return ParityReport(
        positions=positions,
        same_top_token_share=same / positions,
        token_ids_identical=not mismatch,
        bos_count=bos_count,
        mean_abs_logprob_diff=difference / positions,
        first_difference=mismatch,
    )


def _load_tokenizer(hf_dir: Path) -> Any:
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(hf_dir, local_files_only=True)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"{hf_dir} has no readable tokenizer ({first}).") from None


def _token_sequences(
    model: LlamaModel, tokenizer: Any, texts: Sequence[str]
) -> tuple[list[list[int]], int, str]:
    """The reference's ids of every text, plain and as a chat prompt; BOS count; difference."""
    if not texts:
        raise UserError("There is no text to compare. Pass at least one question.")
    template = model.header.chat_template
    bos_text = model.header.token("bos") or ""
    eos_text = model.header.token("eos") or ""
    sequences: list[list[int]] = []
    differences: list[str] = []
    bos_count = 0
    for text in texts:
        plain = [int(token) for token in tokenizer(text)["input_ids"]]
        differences.append(_difference(plain, model.tokenize(text, add_special=True), text))
        sequences.append(plain)
        if template is None:
            continue
        messages = [{"role": "user", "content": text}]
        theirs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True
        )["input_ids"]
        rendered = render_prompt(template, messages, bos_token=bos_text, eos_token=eos_text)
        ours = model.tokenize_prompt(rendered)
        differences.append(_difference([int(token) for token in theirs], ours, rendered))
        sequences.append([int(token) for token in theirs])
        bos_count = max(bos_count, ours.count(model.bos) if model.bos >= 0 else 0)
    return sequences, bos_count, next(filter(None, differences), "")


def _difference(expected: list[int], found: list[int], text: str) -> str:
    if expected == found:
        return ""
    pairs = zip(expected, found, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(found)))
    return (
        f"{text!r} from token {at} on ({expected[at : at + 4]} in transformers, "
        f"{found[at : at + 4]} in llama.cpp)"
    )


def _reference_logits(model: Any, ids: list[int], threads: int) -> "NDArray[np.float32]":
    import numpy as np
    import torch

    # Several threads on a small model and a busy machine wait for each other a hundred times
    # longer than they compute.
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
    finally:
        torch.set_num_threads(before)
    return np.asarray(logits.float().numpy(), dtype=np.float32)


def _log_softmax(logits: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    shifted = logits - logits.max(axis=1, keepdims=True)
    normalizer = np.log(np.exp(shifted).sum(axis=1, keepdims=True, dtype=np.float64))
    return np.asarray(shifted - normalizer, dtype=np.float32)
