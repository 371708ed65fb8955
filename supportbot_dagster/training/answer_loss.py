"""Cross-entropy of the answers' tokens without the rest of the logits.

What lives here: the loss, which puts only the positions that carry loss through the vocabulary's
matrix, a slice at a time, and works out the gradient in the same pass. What does not: which tokens
carry loss (:mod:`supportbot_dagster.training.encode`).

The matrix of a 262,144-token vocabulary is most of the work of a small model, and its logits are
most of the memory. Prompts need neither. Since the matrix is frozen under LoRA, its input's
gradient, (softmax - one-hot) times the matrix, is all that the backward pass wants, so the slice
need not be kept or computed again: two products instead of three.
"""

import functools
import types
from dataclasses import dataclass
from typing import Any

from supportbot_dagster.errors import UserError

_SLICE_ELEMENTS_CPU = 1 << 23
_SLICE_ELEMENTS_GPU = 1 << 27
"""Logits of a slice: 32 MiB of 32-bit numbers on a CPU, 512 MiB on a GPU."""

_SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")


@dataclass(frozen=True)
class Head:
    """What turns hidden states into logits.

    Args:
        weight: the vocabulary's matrix, tokens x hidden.
        bias: of each token, or None.
        softcap: logits are squeezed into plus and minus this (Gemma); None for no limit.
    """

    weight: Any
    bias: Any
    softcap: float | None


def head_of(model: Any) -> Head:
    """The head of a causal language model, as its own forward pass applies it.

    Raises:
        UserError: if the head is trained as well, or scales its logits; this loss covers neither.
    """
    layer = model.get_output_embeddings()
    config = model.config.get_text_config()
    if layer.weight.requires_grad:
        raise UserError(
            "model.training.target_modules names the vocabulary's matrix (lm_head), which must "
            "stay frozen. Name layers of the decoder only."
        )
    scaled = [name for name in _SCALES if getattr(config, name, None) not in (None, 1, 1.0)]
    if scaled:
        raise UserError(
            f"The base scales its logits ({', '.join(scaled)} in config.json), which training does "
            "not do. Choose a base of the catalogue."
        )
    softcap = getattr(config, "final_logit_softcapping", None)
    return Head(layer.weight, getattr(layer, "bias", None), softcap)


def logits_of(hidden: Any, head: Head) -> Any:
    """Logits of some positions.

    Args:
        hidden: positions x hidden.
        head: see :func:`head_of`.

    Returns:
        positions x tokens, 32 bit.
    """
    import torch

    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    logits = hidden.to(dtype) @ head.weight.to(dtype).t()
    if head.bias is not None:
        logits = logits + head.bias.to(dtype)
    logits = logits.float()
    return logits if head.softcap is None else head.softcap * torch.tanh(logits / head.softcap)


def answer_loss(hidden: Any, targets: Any, head: Head) -> Any:
    """Summed cross-entropy of the targets, in nats, differentiable in ``hidden``.

    Args:
        hidden: positions x hidden.
        targets: the token that follows each position.
        head: see :func:`head_of`.
    """
    return _function().apply(hidden, targets, head)


@functools.cache
def _function() -> Any:
    """The autograd function, whose class needs torch."""
    import torch

    class AnswerLoss(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, hidden: Any, targets: Any, head: Head) -> Any:
            kind = hidden.device.type
            autocast = torch.is_autocast_enabled(kind)
            dtype = torch.get_autocast_dtype(kind) if autocast else hidden.dtype
            weight = head.weight.to(dtype)
            plain = Head(weight, head.bias, head.softcap)
            elements = _SLICE_ELEMENTS_CPU if kind == "cpu" else _SLICE_ELEMENTS_GPU
            size = max(16, elements // weight.shape[0])
            loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
            learns = ctx.needs_input_grad[0]
            gradient = torch.empty_like(hidden, dtype=torch.float32) if learns else None
            for start in range(0, hidden.shape[0], size):
                part = slice(start, start + size)
                wanted = targets[part, None]
                logits = logits_of(hidden[part].to(dtype), plain)
                norm = logits.logsumexp(-1, keepdim=True)
                loss += (norm - logits.gather(-1, wanted)).sum()
                if gradient is None:
                    continue
                slope = (logits - norm).exp_()
                slope.scatter_add_(-1, wanted, -torch.ones_like(wanted, dtype=slope.dtype))
                if head.softcap is not None:
                    # d tanh(x) = 1 - tanh(x)^2, and the logits are softcap * tanh(x).
                    slope *= 1 - (logits / head.softcap).square_()
                gradient[part] = slope.to(dtype) @ weight
            ctx.gradient = gradient
            ctx.dtype = hidden.dtype
            return loss

        @staticmethod
        def backward(ctx: Any, outer: Any) -> Any:
            return (ctx.gradient * outer).to(ctx.dtype), None, None

    return AnswerLoss


def add_answer_head(model: Any) -> None:
    """Let ``model(..., labels=..., answers_only=True)`` give the summed loss of the answers.

    The result then has ``loss``, and ``hidden`` if ``keep_hidden=True``: the states of all
    positions but the last, batch x positions x hidden. Other calls stay as they were.

    Args:
        model: the causal language model under the adapter.
    """
    whole = model.forward
    head = head_of(model)
    kept: dict[Any, Any] = {}

    # transformers and PEFT look at the signature of a model's forward pass.
    @functools.wraps(type(model).forward)
    def forward(
        self: Any,
        *args: Any,
        answers_only: bool = False,
        keep_hidden: bool = False,
        labels: Any = None,
        **kwargs: Any,
    ) -> Any:
        import torch

        if not answers_only:
            given = kwargs if labels is None else kwargs | {"labels": labels}
            return whole(*args, **given)
        kwargs["use_cache"] = False
        hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        carries = wanted != -100
        kind = hidden.device.type
        weight = self.get_output_embeddings().weight
        if torch.is_autocast_enabled(kind) and weight.dtype != torch.get_autocast_dtype(kind):
            # The frozen matrix is rounded once instead of in every step.
            dtype = torch.get_autocast_dtype(kind)
            if dtype not in kept:
                kept[dtype] = weight.detach().to(dtype)
            weight = kept[dtype]
        own = Head(weight, head.bias, head.softcap)
        out = {"loss": answer_loss(hidden[carries], wanted[carries], own)}
        return out | {"hidden": hidden} if keep_hidden else out

    model.forward = types.MethodType(forward, model)
