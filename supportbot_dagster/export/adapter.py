"""Reading a LoRA adapter of PEFT and lining it up with the weights of its base.

What lives here: which tensor of the base each pair of adapter matrices belongs to, and everything
that would make a merge lose a part of it. What does not: the merge
(:mod:`supportbot_dagster.export.merge`) and training.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.model_folder import empty_model
from supportbot_dagster.export.safetensors_file import StoredTensor, read_layout

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
_PAIR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_PLAIN = {"bias": ("none", None), "fan_in_fan_out": (False, None)}
# What changes more than weight += scale * B A, or other tensors than those of the pairs.
_UNKNOWN = (
    *("use_dora", "lora_bias", "modules_to_save", "trainable_token_indices", "target_parameters"),
    *("layer_replication", "use_qalora", "use_bdlora", "arrow_config", "kasa_config"),
    *("alora_invocation_tokens", "velora_config", "monteclora_config", "megatron_config"),
)
# The text model inside a multimodal one is called otherwise by some classes and checkpoints.
_OTHER_NAMES = ("model.language_model.layers.", "language_model.model.layers.", "model.layers.")


@dataclass(frozen=True)
class Pair:
    """The two matrices of one layer.

    Args:
        module: the layer, as the model class names it.
        a: name of the tensor of shape ``(rank, in)``.
        b: name of the tensor of shape ``(out, rank)``.
        rank: what the configuration says.
        scale: the update is ``scale * B A``: alpha / rank, or alpha / sqrt(rank) with ``rslora``.
    """

    module: str
    a: str
    b: str
    rank: int
    scale: float


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter folder whose files were read and fit together.

    Args:
        folder: where it lies.
        pairs: by module.
        config: PEFT's configuration.
    """

    folder: Path
    pairs: Mapping[str, Pair]
    config: Any

    @property
    def weights(self) -> Path:
        """The file of its matrices."""
        return self.folder / WEIGHTS


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's configuration and the names of its matrices.

    Raises:
        UserError: if it is no adapter of PEFT, of another kind than LoRA, or does more than add
            ``scale * B A`` to weights.
    """
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise UserError(
            f"{folder} is no PEFT adapter: {CONFIG} or {WEIGHTS} is missing. "
            "Point to the folder that training wrote."
        )
    from peft import LoraConfig, PeftConfig

    try:
        config = PeftConfig.from_pretrained(str(folder))
    except (ValueError, KeyError, TypeError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"{folder / CONFIG} cannot be read ({first}). Train again.") from None
    if not isinstance(config, LoraConfig):
        raise UserError(f"{folder} is a {config.peft_type} adapter, not LoRA. Train one with LoRA.")
    unknown = [name for name in _UNKNOWN if getattr(config, name, None)]
    unknown += [name for name, plain in _PLAIN.items() if getattr(config, name, None) not in plain]
    if unknown:
        raise UserError(
            f"The adapter in {folder} uses {', '.join(unknown)}, which a merge would lose. "
            "Train it without."
        )
    sides: dict[str, dict[str, str]] = {}
    stray: list[str] = []
    for name in read_layout(folder / WEIGHTS):
        if match := _PAIR.fullmatch(name):
            sides.setdefault(match["module"], {})[match["side"]] = name
        else:
            stray.append(name)
    stray += [name for pair in sides.values() if len(pair) == 1 for name in pair.values()]
    if stray or not sides:
        raise UserError(
            f"The adapter in {folder} does not fit: {len(stray)} of its tensors belong to no pair "
            f"({', '.join(stray[:3]) or 'it has none at all'}). Train it again with LoRA."
        )
    pairs = {
        module: Pair(module, pair["A"], pair["B"], *_rank_and_scale(config, module))
        for module, pair in sides.items()
    }
    return Adapter(folder, pairs, config)


def _rank_and_scale(config: Any, module: str) -> tuple[int, float]:
    from peft.utils.other import get_pattern_key

    ranks, alphas = config.rank_pattern or {}, config.alpha_pattern or {}
    rank = ranks.get(get_pattern_key(list(ranks), module), config.r)
    alpha = alphas.get(get_pattern_key(list(alphas), module), config.lora_alpha)
    return int(rank), float(alpha / (math.sqrt(rank) if config.use_rslora else rank))


def expected_modules(base_dir: Path, config: Any) -> set[str]:
    """The layers of a base that an adapter's configuration targets, as the model class names them.

    Found on a model without weights, so that it costs no memory.
    """
    from peft.tuners.tuners_utils import check_target_module_exists
    from torch import nn

    return {
        name
        for name, module in empty_model(base_dir).named_modules()
        if isinstance(module, nn.Linear) and check_target_module_exists(config, name)
    }


def line_up(
    adapter: Adapter, base_dir: Path, tensors: Mapping[str, StoredTensor]
) -> dict[str, Pair]:
    """The tensor of the base that each pair changes.

    Args:
        adapter: what :func:`read_adapter` gave.
        base_dir: folder of the base.
        tensors: layout of all files of the base.

    Returns:
        Pairs by the name of the base's tensor.

    Raises:
        UserError: if a pair has no place or another shape than its place, or a targeted layer has
            no pair.
    """

    def refuse(what: str) -> UserError:
        return UserError(
            f"The adapter in {adapter.folder} does not fit {base_dir}: {what}. "
            "Use the base that it was trained on."
        )

    expected = expected_modules(base_dir, adapter.config)
    extra, missing = set(adapter.pairs) - expected, expected - set(adapter.pairs)
    if extra or missing:
        raise refuse(
            f"{len(extra)} of its {len(adapter.pairs)} pairs have no place{_some(extra)} and "
            f"{len(missing)} are missing{_some(missing)}"
        )
    matrices = read_layout(adapter.weights)
    found: dict[str, Pair] = {}
    for module, pair in adapter.pairs.items():
        name = _stored_name(module, tensors)
        if name is None or name in found:
            raise refuse(f"no file of the base holds the weight of {module}")
        (rank, width), (height, rank_b) = matrices[pair.a].shape, matrices[pair.b].shape
        if tensors[name].shape != (height, width) or not rank == rank_b == pair.rank:
            raise refuse(
                f"{module} has {height} x {rank_b} and {rank} x {width} of rank {pair.rank} for a "
                f"weight of {' x '.join(map(str, tensors[name].shape))}"
            )
        found[name] = pair
    return found


def _stored_name(module: str, tensors: Mapping[str, StoredTensor]) -> str | None:
    own = next((name for name in _OTHER_NAMES if module.startswith(name)), None)
    names = [f"{module}.weight"]
    if own is not None:
        names += [f"{other}{module.removeprefix(own)}.weight" for other in _OTHER_NAMES]
    return next((name for name in names if name in tensors), None)


def _some(names: Iterable[str]) -> str:
    few = sorted(names)[:2]
    return f" ({', '.join(few)})" if few else ""
