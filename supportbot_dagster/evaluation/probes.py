"""The probe set: a handful of questions with criteria of their own.

What lives here: loading probes, judging an answer by their patterns, and the report. What does
not: the questions themselves (a YAML file that ``product.yaml`` names).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from supportbot_dagster.errors import UserError
from supportbot_dagster.product import SAMPLE, Product, describe_validation_error
from supportbot_dagster.refusals.markers import is_refusal
from supportbot_dagster.strict_yaml import load_yaml


class Probe(BaseModel):
    """One question and what a right reply must show.

    ``all`` patterns must match, ``none`` must not; they are regular expressions without case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    question: str = Field(min_length=1)
    expect: Literal["answer", "handoff"]
    why: str
    section: str = ""
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()

    @field_validator("all", "none")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return patterns


class _ProbeFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class ProbeResult:
    """One probe's outcome; ``reason`` is empty when it passed."""

    probe: Probe
    answer: str
    passed: bool
    reason: str


def load_probes(product: Product) -> tuple[Probe, ...]:
    """The product's probes; none when ``probes.file`` is not set.

    Raises:
        UserError: if the file is missing or does not fit.
    """
    if product.probes.file is None:
        return ()
    if product.probes.file == SAMPLE:
        path = Path(__file__).parent.parent / "sample" / "probes.yaml"
    else:
        path = Path(product.probes.file)
    try:
        return _ProbeFile.model_validate(load_yaml(path.read_text(encoding="utf-8"))).probes
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Mend probes.file in product.yaml.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    except ValidationError as error:
        raise UserError(f"{path}: {describe_validation_error(error, _ProbeFile)}") from None


def judge_probe(probe: Probe, answer: str) -> ProbeResult:
    """Hold one answer against its probe."""
    reasons: list[str] = []
    deflected = is_refusal(answer)
    if probe.expect == "answer" and deflected:
        reasons.append("deflected a question that the docs answer")
    if probe.expect == "handoff" and not deflected:
        reasons.append("answered what it cannot know")
    reasons += [
        f"lacks {pattern!r}"
        for pattern in probe.all
        if not re.search(pattern, answer, re.IGNORECASE)
    ]
    reasons += [
        f"says {pattern!r}" for pattern in probe.none if re.search(pattern, answer, re.IGNORECASE)
    ]
    return ProbeResult(probe, answer, not reasons, "; ".join(reasons))
