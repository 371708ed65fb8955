"""``product.yaml`` becomes a :class:`Product`: the one file that a user edits.

What lives here: the schema of the file with its defaults, and loading with one clear line per
mistake. What does not: secrets (environment only), machine paths such as the artifact root
(:mod:`supportbot_dagster.settings`), and anything that a stage computes.
"""

from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from supportbot_dagster.errors import UserError
from supportbot_dagster.strict_yaml import load_yaml

SAMPLE = "sample"
"""The word that stands for the embedded sample wherever a URL or a path is expected."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Docs(_Strict):
    """Where the docs are.

    Args:
        url: start URL of the docs, or ``sample`` for the embedded site on loopback. All pages
            under its path prefix are crawled.
        public_url: what replaces the start prefix in the data, for a site that is crawled at
            another address than the one that customers see.
        max_pages: a crawl that finds more stops there and says so.
        delay_seconds: pause between two requests to the docs' host. robots.txt may ask for more.
        contact: an address or a page that the crawler's User-Agent names, for the site's owner to
            write to; None for none.
    """

    url: str = SAMPLE
    public_url: str | None = None
    max_pages: int = Field(default=5000, ge=1)
    delay_seconds: float = Field(default=0.0, ge=0, le=60)
    contact: str | None = Field(default=None, pattern=r"^[\x21-\x7e]+$")


TicketFormat = Literal["zendesk", "intercom", "discord", "table", "zendesk_api", "intercom_api"]
"""What kind of source the tickets come from; the last two are asked over the network."""

_LIVE_ADDRESSES: dict[str, str | None] = {
    "zendesk_api": None,
    "intercom_api": "https://api.intercom.io",
}
"""The formats that are asked over the network, with their addresses where all share one."""


class Columns(_Strict):
    """Which column of a table holds what; None where the table has no such column.

    With ``question`` and ``reply`` a row is a ticket. Without them a row is a message, and rows
    with one ``conversation`` belong together.

    Args:
        conversation: id of the ticket.
        status: its status; without it, all tickets count as solved.
        created_at: time of the message, or of the ticket.
        author_role: whether an agent or a customer wrote the message; see ``agent_roles``.
        author_name: name of the author, or of the customer.
        author_email: e-mail address of the author, or of the customer.
        text: the message.
        public: whether the customer saw the message; without it, all were seen.
        tags: tags, as a list or divided by commas.
        subject: subject of the ticket.
        company: name of the customer's company.
        question: what the customer asked.
        reply: what the agent answered.
    """

    conversation: str | None = None
    status: str | None = None
    created_at: str | None = None
    author_role: str | None = None
    author_name: str | None = None
    author_email: str | None = None
    text: str | None = None
    public: str | None = None
    tags: str | None = None
    subject: str | None = None
    company: str | None = None
    question: str | None = None
    reply: str | None = None

    def named(self) -> dict[str, str]:
        """The columns that the table has, by what they hold."""
        return {key: value for key, value in self if value is not None}

    def lacking(self) -> list[str]:
        """What has no column but needs one."""
        named = self.named()
        needed = ["conversation", "created_at"]
        if "question" in named or "reply" in named:
            needed += ["question", "reply"]
        else:
            needed += ["author_role", "text"]
        return [key for key in needed if key not in named]


class Tickets(_Strict):
    """Where the tickets are and which of them count.

    Args:
        format: what kind of source it is. ``zendesk``, ``intercom``, ``discord`` and ``table`` are
            files; ``zendesk_api`` and ``intercom_api`` ask the help desk itself, with credentials
            from the environment alone.
        source: path of the export (relative to the product file), or ``sample``; of ``discord``
            also a folder. A format that asks the help desk has none: ``api_url`` takes its place.
        api_url: address of the help desk, such as ``https://acme.zendesk.com``; None for
            ``https://api.intercom.io`` with ``intercom_api``.
        columns: which column holds what, for ``table``.
        agent_roles: who answers for the vendor: names or ids of Discord roles, or values of the
            author's role in a table (by default ``agent`` and ``admin``).
        window_months: length of the window of resolved tickets before the month's cut-off.
        language: ISO 639-1 code; tickets in other languages are left out and counted.
        account_tags: tags of tickets that needed the customer's account to be answered. Their
            questions count as unanswerable.
        max_drop: share of the last export's usable tickets that a new one may lack; 1 accepts any.
        ner_model: name or folder of an installed spaCy pipeline (``en_core_web_sm``) whose persons
            and organisations are redacted as well; empty for none.
    """

    format: TicketFormat = "zendesk"
    source: str = SAMPLE
    api_url: str | None = None
    columns: Columns = Columns()
    agent_roles: tuple[str, ...] = ()
    window_months: int = Field(default=6, ge=1, le=60)
    language: str = Field(default="en", pattern="^[a-z]{2}$")
    account_tags: tuple[str, ...] = ("account_lookup", "billing_case")
    max_drop: float = Field(default=0.5, ge=0, le=1)
    ner_model: str = ""

    @model_validator(mode="before")
    @classmethod
    def _address_for_source(cls, values: Any) -> Any:
        kind = values.get("format") if isinstance(values, dict) else None
        if not isinstance(kind, str) or kind not in _LIVE_ADDRESSES:
            return values
        address = values.get("api_url") or _LIVE_ADDRESSES[kind]
        if values.get("source", address) != address:
            raise ValueError(f"source is for files; {kind} takes api_url alone")
        return {**values, "api_url": address, "source": address or ""}

    @model_validator(mode="after")
    def _fit_the_format(self) -> "Tickets":
        if self.format in _LIVE_ADDRESSES:
            if self.api_url is None:
                raise ValueError(f"{self.format} needs api_url, such as https://acme.zendesk.com")
            _check_address(self.api_url)
        elif self.api_url is not None:
            raise ValueError(f"api_url is for zendesk_api and intercom_api, not for {self.format}")
        elif self.source == SAMPLE and self.format != "zendesk":
            raise ValueError(f"{self.format} needs source, the path of the export")
        if self.format == "table" and (lacking := self.columns.lacking()):
            raise ValueError(f"table needs columns for {', '.join(lacking)}")
        if self.format != "table" and self.columns.named():
            raise ValueError(f"columns are for table, not for {self.format}")
        if self.format == "discord" and not self.agent_roles:
            raise ValueError("discord needs agent_roles, the roles of those who answer for you")
        if self.agent_roles and self.format not in {"discord", "table"}:
            raise ValueError(f"agent_roles are for discord and table, not for {self.format}")
        return self


def _check_address(url: str) -> None:
    """Raises for an address that a token may not be sent to."""
    parts = urlsplit(url)
    loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise ValueError("api_url must start with https://")
    if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("api_url must be scheme and host alone, as https://acme.zendesk.com")


class Facts(_Strict):
    """What the deflections may say about the product; every field is shown to customers."""

    docs_url: str
    pricing_url: str
    status_url: str
    support_email: str
    security_email: str
    billing_path: str
    plans: tuple[str, ...] = Field(min_length=1)
    other_tools: tuple[str, ...] = Field(min_length=1)


class Refusals(_Strict):
    """Product-specific refusal families beside the built-in ones.

    Args:
        families: path of a YAML file with further families (relative to the product file), or
            ``sample``; None for the built-in families alone.
    """

    families: str | None = None


class Shares(_Strict):
    """Wanted share of each bucket; the three add up to 1."""

    docs: float = Field(default=0.6, ge=0, le=1)
    tickets: float = Field(default=0.3, ge=0, le=1)
    refusals: float = Field(default=0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> "Shares":
        total = self.docs + self.tickets + self.refusals
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the shares add up to {total:g}, not 1")
        return self


class Splits(_Strict):
    """Share of the ticket threads and refusal families that each held-out split gets."""

    validation: float = Field(default=0.06, ge=0, le=0.5)
    calibration: float = Field(default=0.12, ge=0, le=0.5)
    test: float = Field(default=0.22, ge=0, le=0.5)

    @model_validator(mode="after")
    def _leave_rows_to_train(self) -> "Splits":
        total = self.validation + self.calibration + self.test
        if total >= 1.0:
            raise ValueError(f"the held-out splits add up to {total:g} and leave nothing to train")
        return self


class Dataset(_Strict):
    """Size and make-up of the merged dataset.

    Args:
        target_rows: rows wanted to train on; what is held out comes on top. Buckets that cannot
            fill their quota fall short, and the shortfall is reported. Rows are never repeated to
            fill up.
        withheld: share of the docs sections that training is not shown, to measure what the bot
            does when it is asked about them; 0 for a bot that shall know all.
        seed: enters every hash that assigns a split or withholds a section.
    """

    target_rows: int = Field(default=5000, ge=1)
    withheld: float = Field(default=0.0, ge=0, le=0.5)
    shares: Shares = Shares()
    splits: Splits = Splits()
    seed: int = 0


class Teacher(_Strict):
    """Who phrases the synthesized pairs.

    Which model is asked, where and with which key stands in the environment. Prices and costs are
    in any one currency.

    Args:
        recordings: folder of recorded teacher answers (relative to the product file), ``sample``,
            or None. A section without a recording goes to the teacher model if there is one, else
            to the rule-based teacher.
        questions: phrasings of a section that a teacher model is asked for.
        temperature: its sampling temperature.
        concurrency: requests in flight.
        timeout_seconds: of one request, from the connection to the end of the answer.
        budget_tokens: tokens that one run may send and receive; None for no limit.
        budget_cost: money that one run may spend; None for no limit. Needs both prices.
        input_price: money for a million tokens sent.
        output_price: money for a million tokens received.
    """

    recordings: str | None = None
    questions: int = Field(default=5, ge=1, le=10)
    temperature: float = Field(default=0.7, ge=0, le=2)
    concurrency: int = Field(default=8, ge=1, le=64)
    timeout_seconds: float = Field(default=120.0, gt=0)
    budget_tokens: int | None = Field(default=None, ge=1)
    budget_cost: float | None = Field(default=None, gt=0)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _cost_needs_prices(self) -> "Teacher":
        if self.budget_cost is not None and None in (self.input_price, self.output_price):
            raise ValueError("budget_cost needs input_price and output_price")
        return self


class Training(_Strict):
    """LoRA settings; None takes the catalogue's value for the chosen base.

    What each means stands at :class:`supportbot_dagster.training.catalogue.LoraSettings`. Units:
    ``learning_rate`` per step, ``warmup_share`` as a fraction of all steps, ``max_length`` in
    tokens. The recipe's values are the catalogue's defaults for real bases.
    """

    epochs: float | None = Field(default=None, gt=0)
    learning_rate: float | None = Field(default=None, gt=0)
    lora_rank: int | None = Field(default=None, ge=1)
    lora_alpha: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    gradient_accumulation: int | None = Field(default=None, ge=1)
    warmup_share: float | None = Field(default=None, ge=0, le=1)
    max_length: int | None = Field(default=None, ge=64)
    seed: int = 0
    early_stopping_patience: int | None = Field(default=None, ge=0)
    early_stopping_delta: float | None = Field(default=None, ge=0)
    eval_rows: int | None = Field(default=None, ge=0)
    packing: Literal["auto", "on", "off"] | None = None
    gradient_checkpointing: Literal["auto", "on", "off"] | None = None
    precision: Literal["auto", "bf16", "fp16", "fp32"] | None = None
    load_in_4bit: bool | None = None
    followup_epochs: float | None = Field(default=None, gt=0)
    followup_rate_share: float | None = Field(default=None, gt=0)


Quant = Literal["Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "F16"]
"""Quantizations that llama.cpp makes; bits a weight from about 3.9 to 16."""


class Model(_Strict):
    """The base to fine-tune (a key of the catalogue), how, and which files come out.

    ``second_stage`` trains the follow-up conversations on top of the single-turn adapter.
    ``quant`` is the quantization that is evaluated and shipped, ``more_quants`` are made beside it,
    and ``keep_f16`` keeps the unquantized file, which for a 3B-class base takes 6 to 10 GB a month.
    """

    base: str = "pocket"
    training: Training = Training()
    second_stage: bool = False
    quant: Quant = "Q4_K_M"
    more_quants: list[Quant] = []
    keep_f16: bool = True


class Serving(_Strict):
    """Sampling settings of the shipped bot; evaluation uses the same."""

    temperature: float = Field(default=0.4, ge=0, le=2)
    top_p: float = Field(default=0.9, gt=0, le=1)
    num_predict: int = Field(default=200, ge=1)


class Gates(_Strict):
    """What the bot must reach to be released.

    Shares from 0 to 1, measured on the shipped file: ``answerable_right``,
    ``unanswerable_deflected``, ``answerable_deflected`` (at most). ``top_token_agreement`` is the
    share of positions at which the F16 file agrees with transformers, ``export_divergence`` the
    most that merging or converting may move a distribution (nats), ``perplexity_ratio`` the most
    that quantizing may cost, and ``refusals_lost`` how many held-out questions may be refused by
    the F16 file and answered by the shipped one.
    """

    answerable_right: float = Field(default=0.80, ge=0, le=1)
    unanswerable_deflected: float = Field(default=0.95, ge=0, le=1)
    answerable_deflected: float = Field(default=0.05, ge=0, le=1)
    probes_passed: int = Field(default=8, ge=0)
    top_token_agreement: float = Field(default=0.99, ge=0, le=1)
    export_divergence: float = Field(default=0.01, gt=0)
    perplexity_ratio: float = Field(default=1.05, ge=1)
    refusals_lost: int = Field(default=0, ge=0)
    longest_ticket_overlap_words: int = Field(default=50, ge=5)


class Retrain(_Strict):
    """When to retrain.

    Args:
        first_month: the first retrain month, ``YYYY-MM``.
        cadence: every month or every quarter (January, April, July, October).
    """

    first_month: str = Field(default="2026-01", pattern=r"^[1-9][0-9]{3}-(0[1-9]|1[0-2])$")
    cadence: Literal["monthly", "quarterly"] = "monthly"


class Probes(_Strict):
    """The hand-picked questions that are asked of every bot.

    Args:
        file: path of a YAML file of probes (relative to the product file), or ``sample``.
    """

    file: str | None = None


class Product(_Strict):
    """Everything that distinguishes one product's bot from another's.

    ``review`` says whether synthesized pairs train without a person's approval (``optional``), or
    only those that ``supportbot review`` kept or edited (``required``).
    """

    name: str = Field(min_length=1)
    slug: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    owners: tuple[str, ...] = ("team:support-bot",)
    facts: Facts
    docs: Docs = Docs()
    tickets: Tickets = Tickets()
    teacher: Teacher = Teacher()
    review: Literal["optional", "required"] = "optional"
    refusals: Refusals = Refusals()
    probes: Probes = Probes()
    dataset: Dataset = Dataset()
    model: Model = Model()
    serving: Serving = Serving()
    gates: Gates = Gates()
    retrain: Retrain = Retrain()

    @property
    def model_name(self) -> str:
        """Name of the bot in Ollama and of its bundle."""
        return f"{self.slug}-support-helper"


def sample_product_file() -> Path:
    """The embedded sample's ``product.yaml``."""
    return Path(__file__).parent / "sample" / "product.yaml"


def load_product(path: Path) -> Product:
    """Read and check a product file. Relative paths in it become absolute.

    Raises:
        UserError: if the file is missing, is not YAML, or does not fit the schema; the message
            names the file, the key and what was expected.
    """
    try:
        raw = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist. Name your product file with --product, or leave it out for "
            "the embedded sample."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())
        raise UserError(f"{path} is not YAML: {first}. Mend the line named.") from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}). Name your product file with --product."
        ) from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} holds no keys. Start from the embedded sample's product.yaml.")
    _make_absolute(raw, path.parent)
    try:
        return Product.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error)}") from None


def describe_validation_error(error: ValidationError, model: type[BaseModel] = Product) -> str:
    """A pydantic error in one line: every wrong key, what is wrong with it, the known keys.

    Args:
        error: what validation raised.
        model: the model that was validated.
    """
    parts: list[str] = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "the file"
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, item["loc"][:-1])
            parts.append(f"unknown key {key} (known here: {', '.join(known)})")
        elif item["type"] == "missing":
            parts.append(f"missing key {key}")
        else:
            parts.append(f"{key}: {item['msg']} (found {item['input']!r})")
    return "; ".join(parts) + ". Mend the key in the file."


def _known_keys(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    annotation: Any = model
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(part)].annotation
        else:  # a list's or a mapping's place: go on with what its entries are
            annotation = next(
                (
                    kind
                    for kind in get_args(annotation)
                    if isinstance(kind, type) and issubclass(kind, BaseModel)
                ),
                None,
            )
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return []
    return sorted(annotation.model_fields)


_PATH_KEYS = (
    ("tickets", "source"),
    ("teacher", "recordings"),
    ("refusals", "families"),
    ("probes", "file"),
)


def _make_absolute(raw: dict[str, Any], folder: Path) -> None:
    for section, key in _PATH_KEYS:
        values = raw.get(section)
        if isinstance(values, dict) and isinstance(values.get(key), str):
            value = values[key]
            if value != SAMPLE:
                values[key] = str((folder.resolve() / value).resolve())
