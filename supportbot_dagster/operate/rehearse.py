"""A rehearsal: preflight and export of a base model without downloading it.

What lives here: building a small random model of the base's own architecture, with its own
tokenizer and chat template, and taking it through the preflight and the export on this machine.
What does not: the model (:mod:`supportbot_dagster.export.random_model`) and the checks themselves.

It proves that this machine and these versions can train, merge, convert, quantize and run the
architecture, within a minute or two. What the base knows it cannot tell: the weights are random.
"""

from dataclasses import dataclass
from pathlib import Path

from supportbot_dagster.export.pipeline import ExportReport, export_gguf
from supportbot_dagster.export.random_model import build_random_model, random_adapter
from supportbot_dagster.export.toolchain import converter
from supportbot_dagster.export.vocabulary import stop_tokens
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.training.catalogue import Base
from supportbot_dagster.training.chat_template import use_plain_template
from supportbot_dagster.training.preflight import PreflightReport, preflight

ROWS = (
    ("How do I export all issues to CSV?", "Open the list, choose Export, then CSV."),
    ("cant find where to change my workspace url", "It is under Settings > General."),
    ("Which plan has SSO?", "I can't see prices or plans. They are at example.com/pricing."),
    ("why is my import stuck", "An import can take an hour. If it takes longer, start it again."),
)
"""Questions and answers in the form of training rows."""


@dataclass(frozen=True)
class Rehearsal:
    """What came of it.

    Args:
        preflight: as before a training.
        export: as after one.
    """

    preflight: PreflightReport
    export: ExportReport

    @property
    def passed(self) -> bool:
        """Whether every result and every gate passed."""
        return self.preflight.passed and all(gate.passed for gate in self.export.gates)


def rehearse(base: Base, folder: Path, progress: Progress = silent) -> Rehearsal:
    """Take a small random model of a base's architecture through preflight and export.

    Args:
        base: of the catalogue, not the embedded one.
        folder: for the model and its files, about 1 GB; the caller removes it.
        progress: told about every step.

    Raises:
        UserError: if the converter cannot be had, or the export stops.
    """
    toolchain = converter(progress=progress)
    model = build_random_model(base.key, folder / "base", toolchain=toolchain, progress=progress)
    use_plain_template(model)
    rows = [
        {"instruction": f"Customer question: {question}", "output": answer}
        for question, answer in ROWS
    ]
    checked = preflight(
        base,
        model,
        rows,
        base.lora,
        runtime=lambda place: stop_tokens(place, toolchain=toolchain),
        progress=progress,
    )
    adapter = random_adapter(model, base.target_modules, folder / "adapter")
    exported = export_gguf(model, adapter, folder / "model.gguf", progress=progress)
    return Rehearsal(checked, exported)
