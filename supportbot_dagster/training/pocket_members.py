"""Several models of one shape, trained at once on the same batches, each learning from the others.

What lives here: their stacked weights, their losses and their optimizer. What does not: the batches
(:mod:`supportbot_dagster.training.pocket_examples`), how long to train and what becomes of the
models (:mod:`supportbot_dagster.training.pocket`).

A model of a few million parameters leaves a GPU idle between the launches of its kernels. Weights
stacked along a first axis let one launch work for all members, so four cost hardly more than one.
The members start from different weights and drop different activations, so their mean judges new
questions better than each of them. Drawn towards that mean, each becomes better than one trained
alone (deep mutual learning, https://arxiv.org/abs/1706.00384), and one of them is shipped.

PyTorch is imported here at once: only what trains the base imports this module.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from supportbot_dagster.training.encode import IGNORED
from supportbot_dagster.training.pocket_examples import UNLABELLED

DROPOUT = 0.15
"""Of the embeddings and of what each half of a layer adds, in training."""
LABEL_SMOOTHING = 0.05
"""Of the topics."""
TEMPERATURE = 2.0
"""Softens what the members say before they are compared, so that the less likely topics count."""
MATRIX_RATE, VECTOR_RATE = 3e-3, 2e-3
"""Peak learning rates: Muon's for the matrices of the layers (scaled to AdamW's update size), and
AdamW's for embeddings, norms and heads."""
WEIGHT_DECAY = 0.05
MOMENTUM = 0.95
"""Muon's."""
ORTHOGONAL_STEPS, ORTHOGONAL = 5, (3.4445, -4.7750, 2.0315)
"""Newton-Schulz iterations of Muon and their coefficients, those of PyTorch's own."""
LONGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Losses:
    """Means over a batch, one a member [E].

    Args:
        words: weighted cross entropy of the labelled tokens.
        topics: cross entropy of the topics.
        agreement: Kullback-Leibler divergence of the members' mean from each, over the topics and
            over the first token of the answer.
        views: cross entropy of the crossings' topics and of the first token of the answer, with
            the mean of the members and of the linear model as its goal.
    """

    words: torch.Tensor
    topics: torch.Tensor
    agreement: torch.Tensor
    views: torch.Tensor

    def each(self) -> tuple[torch.Tensor, ...]:
        """The four, in the order above."""
        return self.words, self.topics, self.agreement, self.views


class Members:
    """Models of one shape with their topic heads, and how to update them.

    Args:
        models: Llama models of transformers, without grouped queries; their weights are copied.
        heads: linear layers from the width of the hidden state to the topics.
        openings: first token of the answer of each topic.
        device: of PyTorch.
        compiled: fuse the kernels first.
    """

    def __init__(
        self,
        models: Sequence[Any],
        heads: Sequence[Any],
        openings: Sequence[int],
        device: str,
        compiled: bool = False,
    ) -> None:
        self._config = models[0].config
        self._openings = torch.tensor(openings, device=device)
        states = [
            {**model.state_dict(), "topics.weight": head.weight, "topics.bias": head.bias}
            for model, head in zip(models, heads, strict=True)
        ]
        self.weights: dict[str, Any] = {
            name: torch.stack([state[name].detach().float() for state in states])
            .to(device)
            .requires_grad_()
            for name in states[0]
        }
        self._read = torch.compile(self._speak, dynamic=False) if compiled else self._speak

    def losses(
        self, ids: Any, labels: Any, weights: Any, told: Any, classes: Any, views: Any,
        chances: Any, documents: Any, positions: Any,
    ) -> Losses:  # fmt: skip
        """Of a batch of :func:`~supportbot_dagster.training.pocket_examples.stream_batches`."""
        # a processor may have to emulate the shorter numbers and take fifty times as long
        with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=ids.is_cuda):
            words, topics, apart, seen = self._read(
                ids, labels, told, classes, views, chances, documents, positions
            )
        asked, crossed = classes != IGNORED, classes == UNLABELLED
        return Losses(
            (words * weights.flatten()).sum(1) / weights.sum(),
            _mean(topics, asked & ~crossed),
            _mean(apart, asked),
            _mean(seen, crossed),
        )

    def topics(self, ids: Any, last: Any) -> Any:
        """Topic probabilities [E, N, topics] of prompts [N, T] that end at ``last`` [N]."""
        documents = torch.ones_like(ids)
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        with torch.no_grad():
            hidden = self.hidden(ids, packed_mask(documents), positions, dropout=0.0)
            at = hidden[:, torch.arange(len(ids), device=ids.device), last]
            return self._topics(at).softmax(-1)

    def member(self, number: int) -> dict[str, Any]:
        """State of one member's model, without its topic head."""
        return {
            name: weight[number].detach().cpu()
            for name, weight in self.weights.items()
            if not name.startswith("topics.")
        }

    def load(self, weights: dict[str, Any]) -> None:
        """Take other values for all weights."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(weights[name])

    def hidden(self, ids: Any, mask: Any, positions: Any, dropout: float) -> Any:
        """Last hidden states [E, B, T, width] of all members, the computation of Llama.

        Args:
            ids: [B, T].
            mask: [B, 1, T, T], true where to look.
            positions: [B, T], of each token in its document.
            dropout: of the embeddings and of what each half of a layer adds; transformers' own
                Llama has none, and does not run over stacked weights in mixed precision.
        """
        config, weights = self._config, self.weights
        heads, size = config.num_attention_heads, config.head_dim
        embeddings = weights["model.embed_tokens.weight"]
        members, vocabulary, width = embeddings.shape
        batch, length = ids.shape
        offsets = torch.arange(members, device=ids.device) * vocabulary
        state = functional.embedding(ids + offsets[:, None, None], embeddings.flatten(0, 1))
        state = functional.dropout(state, dropout)
        turn = _rotation(positions, size, config.rope_parameters["rope_theta"])
        mask = mask.repeat(members, 1, 1, 1)

        def split(projected: Any) -> Any:
            return projected.view(members * batch, length, heads, size).transpose(1, 2)

        for number in range(config.num_hidden_layers):
            layer = f"model.layers.{number}."

            def project(values: Any, name: str, layer: str = layer) -> Any:
                weight = weights[f"{layer}{name}_proj.weight"]
                flat = values.reshape(members, batch * length, -1)
                return (flat @ weight.mT).view(members, batch, length, -1)

            normed = self._norm(state, f"{layer}input_layernorm.weight")
            queries, keys, values = (
                split(project(normed, f"self_attn.{name}")) for name in ("q", "k", "v")
            )
            seen = functional.scaled_dot_product_attention(
                turn(queries, members), turn(keys, members), values, attn_mask=mask
            )
            seen = seen.transpose(1, 2).reshape(members, batch, length, width)
            state = state + functional.dropout(project(seen, "self_attn.o"), dropout)
            normed = self._norm(state, f"{layer}post_attention_layernorm.weight")
            gated = functional.silu(project(normed, "mlp.gate")) * project(normed, "mlp.up")
            state = state + functional.dropout(project(gated, "mlp.down"), dropout)
        return self._norm(state, "model.norm.weight")

    def words(self, hidden: Any) -> Any:
        """Logits [E, N, vocabulary] of hidden states [E, N, width]."""
        return hidden @ self.weights["lm_head.weight"].mT

    def _speak(
        self, ids: Any, labels: Any, told: Any, classes: Any, views: Any, chances: Any,
        documents: Any, positions: Any,
    ) -> tuple[Any, Any, Any, Any]:  # fmt: skip
        hidden = self.hidden(ids, packed_mask(documents), positions, DROPOUT).flatten(1, 2)
        words = self.words(hidden)
        members = len(words)
        at = self._topics(hidden[:, told])
        topics = functional.cross_entropy(
            at.float().flatten(0, 1),
            classes.where(classes != UNLABELLED, IGNORED).repeat(members),
            ignore_index=IGNORED,
            label_smoothing=LABEL_SMOOTHING,
            reduction="none",
        )
        losses = functional.cross_entropy(
            words.float().flatten(0, 1),
            labels.flatten().repeat(members),
            ignore_index=IGNORED,
            reduction="none",
        )
        first = words[:, told].float()
        apart = divergence(at.float()) + divergence(first)
        seen = self._against_views(at.float(), first, views, chances)
        return losses.view(members, -1), topics.view(members, -1), apart, seen

    def _against_views(self, at: Any, first: Any, views: Any, chances: Any) -> Any:
        """Cross entropies [E, N] whose goal is half the linear model's and half the members'."""
        spoken = at.log_softmax(-1)
        goal = spoken.detach().exp().mean(0).scatter_add(1, views, chances) / 2
        begun = torch.zeros_like(first[0]).scatter_add(1, self._openings.expand_as(goal), goal)
        return -(goal * spoken).sum(-1) - (begun * first.log_softmax(-1)).sum(-1)

    def _topics(self, hidden: Any) -> Any:
        return hidden @ self.weights["topics.weight"].mT + self.weights["topics.bias"][:, None]

    def _norm(self, state: Any, name: str) -> Any:
        scaled = functional.rms_norm(state, state.shape[-1:], eps=self._config.rms_norm_eps)
        return scaled * self.weights[name][:, None, None]


def _rotation(positions: Any, size: int, base: float) -> Callable[[Any, int], Any]:
    """Llama's rotary embedding of heads [E * B, heads, T, size]."""
    half = torch.arange(0, size, 2, device=positions.device, dtype=torch.float32) / size
    angles = positions.float()[:, None, :, None] / base**half
    cosine, sine = (part.repeat(1, 1, 1, 2) for part in (angles.cos(), angles.sin()))

    def turn(heads: Any, members: int) -> Any:
        first, second = heads.chunk(2, -1)
        turned = torch.cat((-second, first), -1)
        return heads * cosine.repeat(members, 1, 1, 1) + turned * sine.repeat(members, 1, 1, 1)

    return turn


def _mean(values: Any, where: Any) -> Any:
    """Means [E] of values [E, N] over the places that are true in ``where`` [N]; 0 for none."""
    return (values * where).sum(1) / where.sum().clamp_min(1)


def packed_mask(documents: Any) -> Any:
    """Causal mask [B, 1, T, T], true where to look, that keeps each packed document to itself."""
    length = documents.shape[1]
    same = documents[:, None, :] == documents[:, :, None]
    causal = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    return (same & causal)[:, None]


def divergence(logits: Any) -> Any:
    """How far each member stands from the mean of all: logits [E, N, C] to [E, N], at least 0.

    The gradient goes to the members, not to the mean.
    """
    spoken = (logits / TEMPERATURE).log_softmax(-1)
    mean = spoken.detach().exp().mean(0)
    # Scaled back, as https://arxiv.org/abs/1503.02531 does, so that the gradient keeps its size.
    return (mean * (mean.clamp_min(1e-12).log() - spoken)).sum(-1) * TEMPERATURE**2


class StackedOptimizer:
    """Muon for the layers' matrices and AdamW for the rest, over stacked weights.

    PyTorch's Muon takes one matrix at a time, thousands of launches for a small model; here all
    matrices of one shape are orthogonalized together. Muon takes about half the updates of AdamW
    here; see https://kellerjordan.github.io/posts/muon.

    Args:
        weights: name to stacked weight [E, ...].
        rate: learning rates at the peak, as a share of :data:`MATRIX_RATE`, :data:`VECTOR_RATE`.
    """

    def __init__(self, weights: dict[str, Any], rate: float) -> None:
        self._rate = rate
        self._all = list(weights.values())
        # Two axes besides the members' make a matrix; the embedding and the heads are none of
        # Muon's, which is for what maps a hidden state to a hidden state.
        matrices = [
            weight for name, weight in weights.items() if ".layers." in name and weight.dim() == 3
        ]
        self._shapes: dict[tuple[int, ...], list[Any]] = {}
        for weight in matrices:
            self._shapes.setdefault(tuple(weight.shape[1:]), []).append(weight)
        self._momenta = {
            shape: torch.zeros_like(torch.stack(group)) for shape, group in self._shapes.items()
        }
        known = {id(weight) for weight in matrices}
        self._adam = torch.optim.AdamW(
            [weight for weight in self._all if id(weight) not in known],
            lr=VECTOR_RATE * rate,
            betas=(0.9, 0.98),
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, share: float) -> None:
        """Clip each member's gradient, update with ``share`` of the peak rates, and forget it."""
        self._clip()
        for group in self._adam.param_groups:
            group["lr"] = VECTOR_RATE * self._rate * share
        self._adam.step()
        for shape, weights in self._shapes.items():
            gradient = torch.stack([weight.grad for weight in weights])
            momentum = self._momenta[shape].lerp_(gradient, 1 - MOMENTUM)
            update = orthogonal(gradient.lerp(momentum, MOMENTUM))
            rate = MATRIX_RATE * self._rate * share
            torch._foreach_mul_(weights, 1 - rate * WEIGHT_DECAY)
            # The update's root mean square becomes AdamW's, https://arxiv.org/abs/2502.16982.
            torch._foreach_add_(weights, update.unbind(0), alpha=-rate * 0.2 * max(shape) ** 0.5)
        for weight in self._all:
            weight.grad = None

    def _clip(self) -> None:
        norms = torch.stack([weight.grad.flatten(1).norm(dim=1) for weight in self._all]).norm(
            dim=0
        )
        scale = (LONGEST_GRADIENT / (norms + 1e-6)).clamp(max=1.0)
        for weight in self._all:
            weight.grad.mul_(scale.view(-1, *[1] * (weight.dim() - 1)))


def orthogonal(matrices: Any) -> Any:
    """The nearly orthogonal matrices next to ``matrices`` [..., rows, columns], in 32 bit.

    Newton-Schulz iterations in bfloat16, as https://kellerjordan.github.io/posts/muon gives them;
    in 32 bit on a processor, which may have to emulate the shorter numbers and take many times as
    long.
    """
    first, second, third = ORTHOGONAL
    wide = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    tall = wide.shape[-2] > wide.shape[-1]
    if tall:
        wide = wide.mT
    wide = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(ORTHOGONAL_STEPS):
        gram = wide @ wide.mT
        wide = first * wide + (second * gram + third * gram @ gram) @ wide
    return (wide.mT if tall else wide).float()
