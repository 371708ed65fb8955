"""The whole way from a model folder and an adapter to a checked GGUF.

What lives here: the order of the steps, the check of the free disk, and one report. What does
not: the steps themselves, which are the other modules of this package.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.convert import QUANTS, QuantReport, quant_report, quantize, to_gguf
from supportbot_dagster.export.gguf_file import GgufHeader
from supportbot_dagster.export.merge import merge_adapter
from supportbot_dagster.export.model_folder import link_or_copy, read_config
from supportbot_dagster.export.parity import DEFAULT_TEXTS, ParityReport, check_parity
from supportbot_dagster.export.prompt import turn_frame
from supportbot_dagster.export.toolchain import converter
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.training.chat_template import plain_template, read_template, write_template

_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class ExportReport:
    """What was exported and how well it agrees with its origin.

    Args:
        out_file: the file.
        f16_file: the unquantized file beside it, if it was kept.
        architecture: ``general.architecture`` of the file.
        quant: quantization of the file.
        size_bytes: size of the file.
        sha256: of the file.
        weights: number of weights.
        quantization: weights by type.
        parity_f16: agreement of the F16 file with transformers; None if it was not checked.
        parity: agreement of ``out_file`` with transformers; None if it was not checked.
        template_note: what happened to the chat template.
    """

    out_file: str
    f16_file: str | None
    architecture: str
    quant: str
    size_bytes: int
    sha256: str
    weights: int
    quantization: QuantReport
    parity_f16: ParityReport | None
    parity: ParityReport | None
    template_note: str

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return asdict(self)


def export_gguf(
    model_dir: Path,
    adapter_dir: Path | None,
    out_file: Path,
    *,
    quant: str = "Q4_K_M",
    work_dir: Path | None = None,
    cache_dir: Path | None = None,
    keep_f16: bool = False,
    parity: bool = True,
    texts: Sequence[str] = DEFAULT_TEXTS,
    min_top_token_share: float = 0.0,
    progress: Progress = silent,
) -> ExportReport:
    """Merge, convert, quantize and verify.

    Args:
        model_dir: folder of the base (or of a whole model) in the Hugging Face layout.
        adapter_dir: PEFT adapter to merge; None for none.
        out_file: GGUF to write; it appears when it is complete.
        quant: ``Q4_K_M`` or another of :data:`supportbot_dagster.export.convert.QUANTS`; ``F16``
            leaves the weights unquantized.
        work_dir: where intermediate files live; the folder of ``out_file`` by default. They are
            removed at the end.
        cache_dir: cache of the converter.
        keep_f16: leave ``NAME.F16.gguf`` beside ``out_file``.
        parity: compare with transformers. It loads the model in 32 bit.
        texts: user messages of the comparison.
        min_top_token_share: share of top tokens on which the F16 file must agree with
            transformers, 0 to 1.
        progress: told about every step.

    Raises:
        UserError: for bad input, a full disk, token ids that differ, or too little agreement.
    """
    if quant not in QUANTS:
        raise UserError(f"Quantization {quant!r} is unknown. Known: {', '.join(QUANTS)}.")
    read_config(model_dir)
    out_file.parent.mkdir(parents=True, exist_ok=True)
    place = work_dir or out_file.parent
    place.mkdir(parents=True, exist_ok=True)
    check_free_disk(model_dir, place, merge=adapter_dir is not None)
    toolchain = converter(cache_dir, progress)
    with tempfile.TemporaryDirectory(dir=place, prefix=".export-") as name:
        scratch = Path(name)
        progress("merge the adapter", 0, 1)
        merged = merge_adapter(model_dir, adapter_dir, scratch / "merged", progress).folder
        progress("merge the adapter", 1, 1)
        note = embed_plain_template(merged)
        f16 = scratch / "model.F16.gguf"
        header = to_gguf(merged, f16, toolchain=toolchain, progress=progress)
        quantized = f16
        amounts = quant_report(header, quant)
        if quant != "F16":
            quantized = scratch / f"model.{quant}.gguf"
            amounts = quantize(f16, quantized, quant, progress=progress)
        parity_f16 = parity_out = None
        if parity:
            parity_f16 = check_parity(merged, f16, texts, progress=progress)
            _refuse_mismatch(parity_f16, model_dir)
            if parity_f16.same_top_token_share < min_top_token_share:
                raise UserError(
                    f"The GGUF of {model_dir} agrees with transformers on "
                    f"{parity_f16.same_top_token_share:.1%} of the top tokens, less than "
                    f"{min_top_token_share:.1%}. Do not ship it; report base and versions."
                )
            parity_out = (
                parity_f16
                if quantized is f16
                else check_parity(merged, quantized, texts, progress=progress)
            )
        kept = _keep_f16(f16, out_file) if keep_f16 and quant != "F16" else None
        _place(quantized, out_file)
    return ExportReport(
        out_file=str(out_file),
        f16_file=str(kept) if kept else None,
        architecture=header.architecture,
        quant=quant,
        size_bytes=out_file.stat().st_size,
        sha256=sha256_file(out_file),
        weights=_weights(header),
        quantization=amounts,
        parity_f16=parity_f16,
        parity=parity_out,
        template_note=note,
    )


def check_free_disk(model_dir: Path, place: Path, *, merge: bool) -> None:
    """Refuse to start an export that would fill the disk.

    Needed beside the source: the merged copy (if an adapter is merged), the F16 file and the
    quantized one, together at most about 1.4 times the source, and as much again for the merge.

    Raises:
        UserError: if less is free; the message says how much is needed where.
    """
    source = sum(file.stat().st_size for file in model_dir.glob("*.safetensors"))
    needed = int(source * (2.4 if merge else 1.4)) + _SPARE_BYTES
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"The export needs about {needed / 2**30:.1f} GiB in {place} and {free / 2**30:.1f} "
            "GiB are free. Free some disk or choose another work folder."
        )


def embed_plain_template(model_dir: Path) -> str:
    """Replace a tool-capable chat template where the plain one writes the same turns.

    Ollama ignores a Modelfile's TEMPLATE in favour of an embedded one that knows tools.

    Returns:
        What was done, in words.
    """
    template = read_template(model_dir)
    if template is None:
        return "the model has no chat template"
    if "tools" not in template and "enable_thinking" not in template:
        return "the model's own chat template, which knows no tools"
    plain = plain_template(template)
    if plain is None:
        return "the model's own chat template, which knows tools and is of an unknown family"
    try:
        same = turn_frame(template) == turn_frame(plain)
    except UserError:
        same = False
    if not same:
        return (
            "the model's own chat template, which knows tools and writes turns differently from "
            "the plain one; set the plain one before training"
        )
    write_template(model_dir, plain)
    return "the plain chat template of its family, which writes the same turns without tools"


def _refuse_mismatch(report: ParityReport, model_dir: Path) -> None:
    if report.problems:
        raise UserError(
            f"The GGUF of {model_dir} does not read text as the model does: "
            f"{'; '.join(report.problems)}. Check the tokenizer files and the chat template."
        )


def _weights(header: GgufHeader) -> int:
    return sum(tensor.weights for tensor in header.tensors)


def _keep_f16(f16: Path, out_file: Path) -> Path:
    target = out_file.with_name(f"{out_file.stem}.F16.gguf")
    _place(f16, target)
    return target


def _place(source: Path, target: Path) -> None:
    """Move a finished file to its place in one step, across file systems too."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        link_or_copy(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
