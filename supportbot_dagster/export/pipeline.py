"""The whole way from a model folder and an adapter to a checked GGUF.

What lives here: the order of the steps, the check of the free disk, and one report. What does
not: the steps themselves, which are the other modules of this package.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.convert import QUANTS, QuantReport, quant_report, quantize, to_gguf
from supportbot_dagster.export.facts import Facts, write_licence
from supportbot_dagster.export.fidelity import (
    Fidelity,
    adapter_form,
    answer_passages,
    folder_form,
    gguf_form,
    measure,
    text_passages,
)
from supportbot_dagster.export.flips import FlipReport, find_flips
from supportbot_dagster.export.gguf_file import GgufHeader
from supportbot_dagster.export.llama import default_threads
from supportbot_dagster.export.merge import MergeReport, merge_adapter
from supportbot_dagster.export.model_folder import link_or_copy, read_config
from supportbot_dagster.export.prompt import turn_frame
from supportbot_dagster.export.token_ids import (
    QUESTIONS,
    TokenReport,
    check_token_ids,
    load_tokenizer,
)
from supportbot_dagster.export.toolchain import converter
from supportbot_dagster.gate import Gate
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.product import Gates, Serving
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.training.chat_template import plain_template, read_template, write_template

F16 = "F16"
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class HeldOut:
    """Rows that training has not seen, as questions with their reference answers.

    Args:
        answerable: questions that the docs answer.
        unanswerable: questions that must be refused.
        is_refusal: whether an answer is a refusal.
        serving: longest answer of the comparison of refusals.
    """

    answerable: Sequence[tuple[str, str]]
    unanswerable: Sequence[tuple[str, str]]
    is_refusal: Callable[[str], bool]
    serving: Serving

    def mixed(self) -> list[tuple[str, str]]:
        """Both kinds in turns, so that any beginning holds both."""
        rows: list[tuple[str, str]] = []
        for number in range(max(len(self.answerable), len(self.unanswerable))):
            rows += [*self.answerable[number : number + 1], *self.unanswerable[number : number + 1]]
        return rows


@dataclass(frozen=True)
class ExportedFile:
    """One file of an export.

    Args:
        path: the file.
        quant: how it is quantized; ``F16`` for not at all.
        size_bytes: its size.
        sha256: of the file.
        quantization: weights by type.
    """

    path: str
    quant: str
    size_bytes: int
    sha256: str
    quantization: QuantReport


@dataclass(frozen=True)
class ExportReport:
    """What was exported and how well it agrees with its origin.

    Args:
        files: the file asked for, then the other ones.
        architecture: ``general.architecture`` of the file.
        weights: number of weights.
        merge: what the merge did.
        template_note: what happened to the chat template.
        token_ids: whether the file reads text as transformers does; None if it was not checked.
        fidelity: how far the forms of the model are apart; None if it was not checked.
        flips: what quantizing did to refusals; None without held-out rows or without quantizing.
        gates: figures with limits.
    """

    files: tuple[ExportedFile, ...]
    architecture: str
    weights: int
    merge: MergeReport
    template_note: str
    token_ids: TokenReport | None
    fidelity: Fidelity | None
    flips: FlipReport | None
    gates: tuple[Gate, ...]

    @property
    def main(self) -> ExportedFile:
        """The file that was asked for."""
        return self.files[0]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON; files by their names alone."""
        value = asdict(self)
        for file in value["files"]:
            file["path"] = Path(file["path"]).name
        del value["merge"]["folder"]
        return value


def export_gguf(
    model_dir: Path,
    adapter_dir: Path | None,
    out_file: Path,
    *,
    quant: str = "Q4_K_M",
    more_quants: Sequence[str] = (),
    work_dir: Path | None = None,
    cache_dir: Path | None = None,
    keep_f16: bool = False,
    parity: bool = True,
    held_out: HeldOut | None = None,
    limits: Gates | None = None,
    facts: Facts | None = None,
    progress: Progress = silent,
) -> ExportReport:
    """Merge, convert, quantize and verify.

    Args:
        model_dir: folder of the base (or of a whole model) in the Hugging Face layout.
        adapter_dir: PEFT adapter to merge; None for none.
        out_file: GGUF to write; it appears when it is complete.
        quant: ``Q4_K_M`` or another of :data:`supportbot_dagster.export.convert.QUANTS`; ``F16``
            leaves the weights unquantized.
        more_quants: further ones, each as ``NAME.QUANT.gguf`` beside ``out_file``.
        work_dir: where intermediate files live; the folder of ``out_file`` by default. They are
            removed at the end.
        cache_dir: cache of the converter.
        keep_f16: leave ``NAME.F16.gguf`` beside ``out_file``.
        parity: compare with transformers. It loads the model there, in 32 bit if the memory is
            enough.
        held_out: rows to compare on; a few questions without answers by default.
        limits: of the gates; those of a new product file by default.
        facts: what the files say about their origin.
        progress: told about every step.

    Returns:
        The report. Its gates say whether quantizing cost too much; the caller decides.

    Raises:
        UserError: for bad input, a full disk, token ids that differ, an answer that would not
            end, or an F16 file that does not agree with transformers: conversion is then broken.
    """
    for name in (quant, *more_quants):
        if name not in QUANTS:
            raise UserError(f"Quantization {name!r} is unknown. Known: {', '.join(QUANTS)}.")
    limits = limits or Gates()
    facts = facts or Facts()
    read_config(model_dir)
    out_file.parent.mkdir(parents=True, exist_ok=True)
    place = work_dir or out_file.parent
    place.mkdir(parents=True, exist_ok=True)
    check_free_disk(model_dir, place, merge=adapter_dir is not None)
    toolchain = converter(cache_dir, progress)
    with tempfile.TemporaryDirectory(dir=place, prefix=".export-") as name:
        scratch = Path(name)
        # Without a comparison nobody reads the embeddings of the merged folder but the converter.
        slim = adapter_dir is not None and not parity
        merge = merge_adapter(model_dir, adapter_dir, scratch / "merged", progress, slim=slim)
        note = embed_plain_template(merge.folder)
        write_licence(merge.folder, facts.licence)
        made = {F16: scratch / "model.F16.gguf"}
        header = to_gguf(
            merge.folder,
            made[F16],
            toolchain=toolchain,
            metadata=facts.metadata(),
            whole_dir=model_dir if slim else None,
            progress=progress,
        )
        tokens = tokenizer = None
        if parity:
            tokenizer = load_tokenizer(merge.folder)
            tokens = check_token_ids(merge.folder, made[F16], tokenizer=tokenizer)
            _refuse_mismatch(tokens, model_dir)
        amounts = {F16: quant_report(header, F16)}
        wanted = list(dict.fromkeys((quant, *more_quants, *([F16] if keep_f16 else []))))
        for kind in wanted:
            if kind != F16:
                made[kind] = scratch / f"model.{kind}.gguf"
                amounts[kind] = quantize(made[F16], made[kind], kind, progress=progress)
        fidelity = flips = None
        gates: list[Gate] = []
        if parity:
            fidelity = _fidelity(
                model_dir,
                adapter_dir,
                merge.folder,
                made,
                quant,
                held_out,
                tokenizer,
                scratch,
                progress,
            )
            gates = _fidelity_gates(fidelity, quant, limits)
            if not gates[0].passed:
                raise UserError(
                    f"The GGUF of {model_dir} does not agree with transformers: "
                    f"{gates[0].problem}. Do not ship it; report base and versions."
                )
            if held_out is not None and quant != F16:
                flips = find_flips(
                    made[F16],
                    made[quant],
                    [question for question, _ in held_out.answerable],
                    [question for question, _ in held_out.unanswerable],
                    held_out.is_refusal,
                    held_out.serving,
                    progress,
                )
                gates.append(_flip_gate(flips, quant, limits))
        files = []
        for kind in wanted:
            target = out_file if kind == quant else _beside(out_file, kind)
            _place(made[kind], target)
            files.append(
                ExportedFile(
                    path=str(target),
                    quant=kind,
                    size_bytes=target.stat().st_size,
                    sha256=sha256_file(target),
                    quantization=amounts[kind],
                )
            )
    return ExportReport(
        files=tuple(files),
        architecture=header.architecture,
        weights=_weights(header),
        merge=merge,
        template_note=note,
        token_ids=tokens,
        fidelity=fidelity,
        flips=flips,
        gates=tuple(gates),
    )


def _fidelity(
    model_dir: Path,
    adapter_dir: Path | None,
    merged: Path,
    made: dict[str, Path],
    quant: str,
    held_out: HeldOut | None,
    tokenizer: Any,
    scratch: Path,
    progress: Progress,
) -> Fidelity:
    """Compare the forms in the order in which they came to be."""
    threads = default_threads(made[quant])
    forms = [folder_form(merged, threads), gguf_form(made[F16], F16, threads)]
    if adapter_dir is not None:
        forms.insert(0, adapter_form(model_dir, adapter_dir, threads))
    if quant != F16:
        forms.append(gguf_form(made[quant], quant, threads))
    answers = answer_passages(tokenizer, held_out.mixed()) if held_out is not None else []
    passages = answers or text_passages(tokenizer, QUESTIONS)
    return measure(forms, passages, answers, scratch, progress)


def _fidelity_gates(fidelity: Fidelity, quant: str, limits: Gates) -> list[Gate]:
    """The gates on weights; the first one tells a broken conversion."""
    exact = fidelity.step("merged", F16)
    gates = [
        Gate.at_least(
            "F16 file against transformers, same top token",
            exact.same_top_token_share,
            limits.top_token_agreement,
            f"{exact.positions} positions of held-out text",
        ),
        Gate.at_most(
            "F16 file against transformers, divergence",
            max(step.mean_kl for step in fidelity.steps if step.after in ("merged", F16)),
            limits.export_divergence,
            "mean Kullback-Leibler divergence, the larger of merging and converting",
            "nats",
        ),
    ]
    for found in fidelity.perplexities:
        if found.form == quant and quant != F16:
            gates.append(
                Gate.at_most(
                    f"perplexity of {quant} to F16",
                    found.ratio,
                    limits.perplexity_ratio,
                    f"{found.tokens} tokens of held-out answers; 95 % interval "
                    f"{found.low:.4f} to {found.high:.4f}",
                    "ratio",
                )
            )
    return gates


def _flip_gate(flips: FlipReport, quant: str, limits: Gates) -> Gate:
    return Gate.at_most(
        f"refusals that became answers in {quant}",
        float(len(flips.became_answers)) if flips.refused_before else None,
        limits.refusals_lost,
        f"{flips.questions} held-out questions, most probable tokens; the other way "
        f"{len(flips.became_refusals)}",
        "count",
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


def _refuse_mismatch(report: TokenReport, model_dir: Path) -> None:
    if report.problems:
        raise UserError(
            f"The GGUF of {model_dir} does not read text as the model does: "
            f"{'; '.join(report.problems)}. Check the tokenizer files and the chat template."
        )


def _weights(header: GgufHeader) -> int:
    return sum(tensor.weights for tensor in header.tensors)


def _beside(out_file: Path, quant: str) -> Path:
    return out_file.with_name(f"{out_file.stem.removesuffix('.gguf')}.{quant}.gguf")


def _place(source: Path, target: Path) -> None:
    """Move a finished file to its place in one step, across file systems too."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        link_or_copy(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
