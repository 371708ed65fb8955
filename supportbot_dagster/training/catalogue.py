"""The catalogue of base models: data, not code.

What lives here: for each base where it comes from, its licence, its size, and the LoRA settings
that suit it. What does not: downloading (:mod:`supportbot_dagster.training.base`) and the settings
that a product overrides (``model.training`` in ``product.yaml``).

The LoRA defaults of the real bases are the recipe's: 3 epochs, 2e-4, rank 16, alpha 32, batch 4
with 4 accumulation steps, 5 % warm-up, 2,048 tokens. ``pocket`` has a preset of its own: its base
knows the sample already, so it takes one pass at small steps. Larger ones unlearn more of telling
questions apart than tickets teach (measured on the validation and calibration splits).
"""

from dataclasses import dataclass, replace

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Training


@dataclass(frozen=True)
class LoraSettings:
    """Everything that decides an adapter, given the base and the rows.

    Args:
        epochs: passes over the training rows.
        learning_rate: peak of the cosine schedule.
        lora_rank: rank of each adapter.
        lora_alpha: scale; the update is multiplied by alpha / rank.
        batch_size: rows a device and step.
        gradient_accumulation: steps added up before an update.
        warmup_share: fraction of all updates until the peak is reached.
        max_length: tokens of prompt and answer together; longer rows are left out.
        dropout: dropout before each adapter.
        weight_decay: AdamW's.
        seed: of initialization and shuffling.
    """

    epochs: float = 3.0
    learning_rate: float = 2e-4
    lora_rank: int = 16
    lora_alpha: int = 32
    batch_size: int = 4
    gradient_accumulation: int = 4
    warmup_share: float = 0.05
    max_length: int = 2048
    dropout: float = 0.0
    weight_decay: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Base:
    """One base model.

    Args:
        key: its name in ``product.yaml``.
        title: how people call it.
        hub_id: repository on the Hugging Face hub; None for the embedded one.
        revision: pinned commit or tag.
        licence: SPDX id or name.
        obligations: what the licence asks of whoever ships a derived model.
        gated: whether the download needs an accepted licence and a token.
        parameters_billion: all weights.
        target_modules: regular expression of the linear layers that get adapters.
        gpu: smallest common GPU for LoRA in 16 bit; empty for the CPU.
        gguf_mib_q4: size of the Q4_K_M file in MiB, where known.
        lora: settings that suit the base.
    """

    key: str
    title: str
    hub_id: str | None
    revision: str
    licence: str
    obligations: str
    gated: bool
    parameters_billion: float
    target_modules: str
    gpu: str
    gguf_mib_q4: int | None
    lora: LoraSettings


_LLAMA_MODULES = r".*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
_LLAMA_OBLIGATIONS = (
    "Show 'Built with Llama', start the model's name with 'Llama', pass on the licence and the "
    "acceptable use policy."
)

CATALOGUE: dict[str, Base] = {
    base.key: base
    for base in (
        Base(
            key="pocket",
            title="Pocket (embedded)",
            hub_id=None,
            revision="3",
            licence="Apache-2.0",
            obligations="Keep the licence and its notices with the weights.",
            gated=False,
            parameters_billion=0.0072,
            target_modules=_LLAMA_MODULES,
            gpu="",
            gguf_mib_q4=4,
            lora=LoraSettings(
                epochs=1.0,
                learning_rate=1e-4,
                batch_size=16,
                gradient_accumulation=1,
                max_length=512,
            ),
        ),
        Base(
            key="gemma-4-e2b",
            title="Gemma 4 E2B",
            hub_id="google/gemma-4-E2B-it",
            revision="main",
            licence="Apache-2.0",
            obligations="Keep the licence and its notices with the weights.",
            gated=False,
            parameters_billion=4.63,
            target_modules=r".*language_model\.layers\..*" + _LLAMA_MODULES.removeprefix(".*"),
            gpu="A10G 24 GB",
            gguf_mib_q4=3243,
            lora=LoraSettings(),
        ),
        Base(
            key="llama-3.2-3b",
            title="Llama 3.2 3B Instruct",
            hub_id="meta-llama/Llama-3.2-3B-Instruct",
            revision="main",
            licence="Llama 3.2 Community License",
            obligations=_LLAMA_OBLIGATIONS,
            gated=True,
            parameters_billion=3.21,
            target_modules=_LLAMA_MODULES,
            gpu="T4 16 GB",
            gguf_mib_q4=None,
            lora=LoraSettings(),
        ),
        Base(
            key="llama-3.2-1b",
            title="Llama 3.2 1B Instruct",
            hub_id="meta-llama/Llama-3.2-1B-Instruct",
            revision="main",
            licence="Llama 3.2 Community License",
            obligations=_LLAMA_OBLIGATIONS,
            gated=True,
            parameters_billion=1.24,
            target_modules=_LLAMA_MODULES,
            gpu="T4 16 GB",
            gguf_mib_q4=None,
            lora=LoraSettings(),
        ),
        Base(
            key="llama-3.1-8b",
            title="Llama 3.1 8B Instruct",
            hub_id="meta-llama/Llama-3.1-8B-Instruct",
            revision="main",
            licence="Llama 3.1 Community License",
            obligations=_LLAMA_OBLIGATIONS,
            gated=True,
            parameters_billion=8.03,
            target_modules=_LLAMA_MODULES,
            gpu="A10G 24 GB",
            gguf_mib_q4=None,
            lora=LoraSettings(),
        ),
    )
}


def find_base(key: str) -> Base:
    """The base of that key.

    Raises:
        UserError: if the catalogue has none; the message lists the known keys.
    """
    try:
        return CATALOGUE[key]
    except KeyError:
        raise UserError(
            f"model.base {key!r} is not in the catalogue. Known: {', '.join(CATALOGUE)}."
        ) from None


def lora_settings(base: Base, overrides: Training) -> LoraSettings:
    """The base's LoRA settings with the product's overrides on top."""
    given = {name: value for name, value in overrides.model_dump().items() if value is not None}
    return replace(base.lora, **given)
