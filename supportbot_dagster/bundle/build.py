"""Building a bundle: every file that a customer's machine and an app need.

What lives here: which files there are and what goes into them. What does not: the texts
(``templates/``), verifying (:mod:`supportbot_dagster.bundle.verify`) and publishing.

The same inputs give the same bytes: nothing depends on the time, the machine or a dictionary's
order.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from supportbot_dagster.artifacts import MANIFEST, UNPARTITIONED, Manifest, list_files
from supportbot_dagster.bundle.modelfile import render_file, render_modelfile, template_problems
from supportbot_dagster.dataset.rows import QUESTION_PREFIX
from supportbot_dagster.errors import UserError
from supportbot_dagster.export.gguf_file import read_header
from supportbot_dagster.export.model_folder import link_or_copy
from supportbot_dagster.gate import Gate
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.product import Product, Serving
from supportbot_dagster.refusals.markers import REFUSAL_MARKERS
from supportbot_dagster.training.catalogue import Base

SETTINGS = "bot.json"
CHECKSUMS = "SHA256SUMS"
TRUST_REPORT = "reports/trust.json"
_PLAIN_NAMES = ("Modelfile", "install.sh", "uninstall.sh", "install.ps1", "support-bot.ts")
_SAMPLE_QUESTION = "What can you help me with?"


@dataclass(frozen=True)
class BotSettings:
    """``bot.json``: what a client must know of a bundle.

    Args:
        model: name of the bot in Ollama.
        gguf: file name of the model.
        serving: sampling settings.
        question_prefix: put in front of every question.
        threshold: score below which an answer is handed off, see
            :attr:`supportbot_dagster.export.runtime.Generation.score`; None for no such limit.
        openings: first tokens of the deflections as text, which the score needs.
        refusal_markers: regular expressions of a deflection, matched without case.
        support_email: where a hand-off leads.
        docs_url: the docs, shown beside a hand-off.
    """

    model: str
    gguf: str
    serving: Serving
    question_prefix: str
    threshold: float | None
    openings: tuple[tuple[str, ...], ...]
    refusal_markers: tuple[str, ...]
    support_email: str
    docs_url: str

    def to_json(self) -> str:
        """The file's text."""
        value = {**self.__dict__, "serving": self.serving.model_dump()}
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_settings(bundle: Path) -> BotSettings:
    """``bot.json`` of a bundle.

    Raises:
        UserError: if it is missing or does not fit.
    """
    path = bundle / SETTINGS
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        value["serving"] = Serving.model_validate(value["serving"])
        value["openings"] = tuple(tuple(map(str, opening)) for opening in value["openings"])
        value["refusal_markers"] = tuple(value["refusal_markers"])
        return BotSettings(**value)
    except FileNotFoundError:
        raise UserError(
            f"{bundle} is no bundle: {SETTINGS} is missing. Point to the folder that holds it."
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{path} is not valid ({first}). Build the bundle again.") from None


def build_bundle(
    gguf: Path,
    product: Product,
    base: Base,
    out_dir: Path,
    *,
    reports: Mapping[str, Any],
    gates: Sequence[Gate],
    threshold: float | None,
    openings: Sequence[Sequence[str]] = (),
    figures: Sequence[tuple[str, str]] = (),
    month: str = "",
    manifest: Manifest | None = None,
    allow_failed_gates: bool = False,
) -> Manifest:
    """Write all files of a bundle into an empty or new folder.

    Args:
        gguf: the quantized model; it is hard-linked where possible.
        product: names, facts and serving settings.
        base: the base model, for its licence.
        out_dir: folder to fill.
        reports: name to JSON value, written as ``reports/NAME.json``; ``trust`` must be there.
        gates: the measured figures with their limits, for the card.
        threshold: score below which the client hands off; None for none.
        openings: first tokens of the deflections as text, which the score needs.
        figures: further lines of the card, label and value.
        month: retrain month, for the card.
        manifest: inputs and parameters to record; its files are filled in. By default one without
            inputs.
        allow_failed_gates: build although a gate failed, for a person to look at. The card says
            so.

    Returns:
        The manifest as written.

    Raises:
        UserError: if a gate failed or none was measured, if the trust report is missing, if the
            folder is not empty, or if the GGUF is unsound or its chat template has no equivalent
            in Ollama.
    """
    _check_gates(gates, reports, allow_failed_gates)
    if out_dir.exists() and any(out_dir.iterdir()):
        raise UserError(f"{out_dir} is not empty. Build the bundle into a new folder.")
    header = read_header(gguf)
    settings = BotSettings(
        model=product.model_name,
        gguf=f"{product.model_name}.gguf",
        serving=product.serving,
        question_prefix=QUESTION_PREFIX,
        threshold=threshold,
        openings=tuple(map(tuple, openings)),
        refusal_markers=REFUSAL_MARKERS,
        support_email=product.facts.support_email,
        docs_url=product.facts.docs_url,
    )
    modelfile = render_modelfile(
        header, settings.gguf, product.serving, _licence_text(product, base)
    )
    problems = template_problems(modelfile, header)
    if problems:
        raise UserError(
            f"{gguf} cannot be bundled: {problems[0]}. Export it with a plain template."
        )
    values = _template_values(product, base, settings)
    card = render_file(
        "MODEL_CARD.md",
        **values,
        month=month,
        base=base,
        weights=f"{sum(tensor.weights for tensor in header.tensors):,}",
        quant=_main_type(header.weights_by_type()),
        size=f"{gguf.stat().st_size / 2**20:,.1f} MiB",
        gates=gates,
        figures=figures,
        facts=product.facts,
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    link_or_copy(gguf, out_dir / settings.gguf)
    _write(out_dir / "Modelfile", modelfile)
    _write(out_dir / "MODEL_CARD.md", card)
    _write(out_dir / SETTINGS, settings.to_json())
    for name in _PLAIN_NAMES[1:]:
        _write(out_dir / name, render_file(name, **values))
    for name in ("install.sh", "uninstall.sh"):
        (out_dir / name).chmod(0o755)
    for name, report in sorted(reports.items()):
        text = json.dumps(report, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        _write(out_dir / "reports" / f"{name}.json", text)
    _write(out_dir / CHECKSUMS, checksums(out_dir))
    return _write_manifest(out_dir, manifest or _default_manifest(month))


def checksums(folder: Path) -> str:
    """The text of ``SHA256SUMS``: every file but itself and the manifest, sorted by path."""
    return "".join(
        f"{sha256_file(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in {CHECKSUMS, MANIFEST}
    )


def _check_gates(
    gates: Sequence[Gate], reports: Mapping[str, Any], allow_failed_gates: bool
) -> None:
    if "trust" not in reports:
        raise UserError("A bundle needs the trust report. Measure the model before packaging it.")
    if not gates:
        raise UserError("No gate was measured. Measure the model before packaging it.")
    failed = [gate.name for gate in gates if not gate.passed]
    if failed and not allow_failed_gates:
        raise UserError(
            f"The model fails {len(failed)} of {len(gates)} gates ({'; '.join(failed)}). "
            "Improve the dataset and train again, or change the limits in product.yaml."
        )


def _template_values(product: Product, base: Base, settings: BotSettings) -> dict[str, Any]:
    threshold = settings.threshold
    return {
        "product_name": " ".join(product.name.split()),
        "model_name": settings.model,
        "gguf_name": settings.gguf,
        "question_prefix": settings.question_prefix,
        "sample_question": _SAMPLE_QUESTION,
        "serving": product.serving,
        "min_ollama": base.ollama.minimum_version,
        "markers": settings.refusal_markers,
        "openings": settings.openings,
        "threshold": threshold,
        "threshold_text": "null" if threshold is None else f"{threshold:.6g}",
        "unavailable": (
            "The assistant is not available right now. The docs are at "
            f"{product.facts.docs_url} and people at {product.facts.support_email}."
        ),
    }


def _licence_text(product: Product, base: Base) -> str:
    return (
        f"Derived from {base.title} ({base.licence}). {base.obligations}\n"
        f"Trained on public docs and support conversations of {product.name}."
    )


def _main_type(weights_by_type: Mapping[str, int]) -> str:
    return next(iter(weights_by_type), "unknown type")


def _default_manifest(month: str) -> Manifest:
    return Manifest(
        asset="ollama_bundle",
        month=month or UNPARTITIONED,
        code_version="1",
        inputs={},
        parameters={},
    )


def _write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    complete = replace(manifest, files=list_files(folder))
    _write(folder / MANIFEST, complete.to_json())
    return complete


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
