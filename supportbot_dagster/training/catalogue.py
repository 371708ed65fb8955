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

    ``batch_size`` times ``gradient_accumulation`` is the number of rows of an update, whatever the
    number of processes: several share them.

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
        early_stopping_patience: evaluations in a row without a lower validation loss after which
            training stops; 0 for never. There are about six in a run; the first third of a run
            does not count.
        early_stopping_delta: nats per token by which a validation loss must fall to count as lower.
        eval_rows: validation rows that each evaluation looks at, evenly spread; 0 for all.
        packing: whether the rows of a batch are laid end to end without padding: ``auto`` (where
            the attention kernel keeps them apart without a mask), ``on`` or ``off``. Without it
            rows of like length share a batch.
        gradient_checkpointing: whether activations are computed again instead of kept, for about
            half as much time again: ``auto`` (on a GPU where they do not fit), ``on`` or ``off``.
        precision: ``auto`` (bf16 where the hardware multiplies it natively, else fp16 on a GPU and
            fp32 on a CPU), ``bf16``, ``fp16`` or ``fp32``.
        load_in_4bit: whether the base is held in 4 bits while training, for a small GPU; needs
            bitsandbytes. The adapter is merged into 16-bit weights all the same.
        followup_epochs: passes over the conversations of the second stage, where there is one.
        followup_rate_share: learning rate of the second stage as a share of ``learning_rate``.
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
    early_stopping_patience: int = 2
    early_stopping_delta: float = 0.001
    eval_rows: int = 256
    packing: str = "auto"
    gradient_checkpointing: str = "auto"
    precision: str = "auto"
    load_in_4bit: bool = False
    followup_epochs: float = 1.0
    followup_rate_share: float = 0.5


@dataclass(frozen=True)
class OllamaFacts:
    """What an Ollama Modelfile of a base needs.

    Args:
        minimum_version: first Ollama that runs the architecture and returns token
            log-probabilities, which came with 0.12.11.
        stops: texts that end an answer.
        thinks: whether Ollama takes the architecture for one that thinks first, so that a request
            must say ``"think": false``.
    """

    minimum_version: str
    stops: tuple[str, ...]
    thinks: bool = False


@dataclass(frozen=True)
class Base:
    """One base model.

    Args:
        key: its name in ``product.yaml``.
        title: how people call it.
        hub_id: repository on the Hugging Face hub; None for the embedded one.
        revision: pinned commit; of the embedded one the number of its making.
        licence: SPDX id or name.
        obligations: what the licence asks of whoever ships a derived model.
        gated: whether the download needs an accepted licence and a token.
        parameters_billion: weights of the language model, towers apart, from its tensor shapes.
        target_modules: regular expression of the linear layers that get adapters, as a whole
            match on the module's name.
        gpu: smallest common GPU for LoRA in 16 bit; empty for the CPU.
        gguf_mib_q4: size of the Q4_K_M file in MiB, where known.
        lora: settings that suit the base.
        template: family of its chat template: ``pocket``, ``gemma4`` or ``llama3``, the templates
            of :mod:`supportbot_dagster.training.chat_template`.
        end_of_turn: text of the token that closes an answer, which must be learned.
        ollama: what its Modelfile needs.
        download_gib: size of its files on the hub in GiB, about; 0 for the embedded one.
        notice: sentence that must be shown wherever the model is; empty for none.
        name_prefix: how the name of a derived model must begin; empty for no rule.
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
    template: str
    end_of_turn: str
    ollama: OllamaFacts
    download_gib: float = 0.0
    notice: str = ""
    name_prefix: str = ""


# Decoder layers only, by whatever name the checkpoint keeps the language model: the towers of a
# multimodal checkpoint have layers of the same names, and adapters there would cost memory, learn
# nothing from text and be lost in the export.
_TEXT_LAYERS = (
    r"(?:.*\.)?(?:language_model|model)\.layers\.\d+\."
    r"(?:self_attn\.(?:q|k|v|o)_proj|mlp\.(?:gate|up|down)_proj)"
)
_LLAMA_OBLIGATIONS = (
    "Show 'Built with Llama', start the model's name with 'Llama', pass on the licence and the "
    "acceptable use policy."
)
_LLAMA_STOPS = OllamaFacts("0.12.11", ("<|eot_id|>", "<|end_of_text|>"))

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
            target_modules=_TEXT_LAYERS,
            gpu="",
            gguf_mib_q4=4,
            lora=LoraSettings(
                epochs=1.0,
                learning_rate=1e-4,
                batch_size=16,
                gradient_accumulation=1,
                max_length=512,
            ),
            template="pocket",
            end_of_turn="<|end|>",
            ollama=OllamaFacts("0.12.11", ("<|end|>",)),
        ),
        Base(
            key="gemma-4-e2b",
            title="Gemma 4 E2B",
            hub_id="google/gemma-4-E2B-it",
            revision="3e22461f65e89153144f8adb70e3b8c2cc9845a7",
            licence="Apache-2.0",
            obligations="Keep the licence and its notices with the weights.",
            gated=False,
            parameters_billion=4.63,
            target_modules=_TEXT_LAYERS,
            gpu="A10G 24 GB",
            gguf_mib_q4=3243,
            lora=LoraSettings(),
            template="gemma4",
            end_of_turn="<turn|>",
            ollama=OllamaFacts("0.20.0", ("<turn|>", "<eos>"), thinks=True),
            download_gib=9.6,
        ),
        Base(
            key="llama-3.2-3b",
            title="Llama 3.2 3B Instruct",
            hub_id="meta-llama/Llama-3.2-3B-Instruct",
            revision="0cb88a4f764b7a12671c53f0838cd831a0843b95",
            licence="Llama 3.2 Community License",
            obligations=_LLAMA_OBLIGATIONS,
            gated=True,
            parameters_billion=3.21,
            target_modules=_TEXT_LAYERS,
            gpu="T4 16 GB",
            gguf_mib_q4=1926,
            lora=LoraSettings(),
            template="llama3",
            end_of_turn="<|eot_id|>",
            ollama=_LLAMA_STOPS,
            download_gib=6.0,
            notice="Built with Llama",
            name_prefix="Llama",
        ),
        Base(
            key="llama-3.2-1b",
            title="Llama 3.2 1B Instruct",
            hub_id="meta-llama/Llama-3.2-1B-Instruct",
            revision="9213176726f574b556790deb65791e0c5aa438b6",
            licence="Llama 3.2 Community License",
            obligations=_LLAMA_OBLIGATIONS,
            gated=True,
            parameters_billion=1.24,
            target_modules=_TEXT_LAYERS,
            gpu="T4 16 GB",
            gguf_mib_q4=770,
            lora=LoraSettings(),
            template="llama3",
            end_of_turn="<|eot_id|>",
            ollama=_LLAMA_STOPS,
            download_gib=2.3,
            notice="Built with Llama",
            name_prefix="Llama",
        ),
        Base(
            key="llama-3.1-8b",
            title="Llama 3.1 8B Instruct",
            hub_id="meta-llama/Llama-3.1-8B-Instruct",
            revision="0e9e39f249a16976918f6564b8830bc894c89659",
            licence="Llama 3.1 Community License",
            obligations=_LLAMA_OBLIGATIONS,
            gated=True,
            parameters_billion=8.03,
            target_modules=_TEXT_LAYERS,
            gpu="A10G 24 GB",
            gguf_mib_q4=4693,
            lora=LoraSettings(),
            template="llama3",
            end_of_turn="<|eot_id|>",
            ollama=_LLAMA_STOPS,
            download_gib=15.0,
            notice="Built with Llama",
            name_prefix="Llama",
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
