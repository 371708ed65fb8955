"""From a model folder to GGUF, and from F16 to fewer bits.

What lives here: running the converter, quantizing in process, and checking what came out. What
does not: fetching the converter (:mod:`supportbot_dagster.export.toolchain`) and merging adapters
(:mod:`supportbot_dagster.export.merge`).
"""

import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.gguf_file import K_QUANTS, PLAIN_TYPES, GgufHeader, read_header
from supportbot_dagster.export.llama import library, log_lines
from supportbot_dagster.export.model_folder import read_config
from supportbot_dagster.export.tall import (
    put_back,
    put_back_quantized,
    slim_folder,
    slim_gguf,
    tall_in_gguf,
    tall_tensors,
    whole_size_label,
)
from supportbot_dagster.export.toolchain import SCRIPT
from supportbot_dagster.progress import Progress, silent

# name -> llama_ftype of include/llama.h
_FILE_TYPES = {
    "Q3_K_M": 12,
    "Q4_K_S": 14,
    "Q4_K_M": 15,
    "Q5_K_S": 16,
    "Q5_K_M": 17,
    "Q6_K": 18,
    "Q8_0": 7,
}
QUANTS = ("F16", *_FILE_TYPES)
"""Names that :func:`quantize` and ``--quant`` take."""

OUTTYPES = ("f16", "bf16", "f32")
_MIN_K_QUANT_SHARE = 0.5
_STEP = re.compile(r"^\[\s*(\d+)/\s*(\d+)\]")
_TENSOR = re.compile(r"-->")


@dataclass(frozen=True)
class QuantReport:
    """What quantizing did.

    Args:
        quant: the name asked for.
        weights_by_type: number of weights in each stored type.
        k_quant_share: share of all weights in K-quants.
        fallback_types: types other than K-quants and plain floats: rows whose length is no
            multiple of 256 fall back to them.
        fallback_share: share of all weights in those.
    """

    quant: str
    weights_by_type: dict[str, int]
    k_quant_share: float
    fallback_types: tuple[str, ...]
    fallback_share: float


def to_gguf(
    hf_dir: Path,
    out_file: Path,
    outtype: str = "f16",
    *,
    toolchain: Path,
    vocab_only: bool = False,
    metadata: Mapping[str, Any] | None = None,
    whole_dir: Path | None = None,
    progress: Progress = silent,
) -> GgufHeader:
    """Convert a model folder to GGUF with the converter, in a subprocess.

    Args:
        hf_dir: model folder in the Hugging Face layout.
        out_file: file to write; it appears when it is complete.
        outtype: ``f16``, ``bf16`` or ``f32``.
        toolchain: the folder that :func:`supportbot_dagster.export.toolchain.converter` gave.
        vocab_only: write the tokenizer without weights.
        metadata: general keys of the file, over what the converter finds by itself; see
            :meth:`supportbot_dagster.export.facts.Facts.metadata`.
        whole_dir: folder with the tall embeddings, where ``hf_dir`` has only their first rows.
        progress: told about each tensor.

    Returns:
        The header of the new file.

    Raises:
        UserError: if the folder is no model or the converter fails; the message carries the
            converter's own reason.
    """
    if outtype not in OUTTYPES:
        raise UserError(f"Output type {outtype!r} is unknown. Known: {', '.join(OUTTYPES)}.")
    read_config(hf_dir)
    out_file.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(out_file)
    tall = {} if vocab_only else tall_tensors(whole_dir or hf_dir)
    with tempfile.TemporaryDirectory(dir=out_file.parent, prefix=".convert-") as name:
        scratch = Path(name)
        source, converted = hf_dir, temporary
        known = dict(metadata or {})
        if tall and whole_dir is None:
            # The converter reads a name out of the path where it is given none.
            source = scratch / "slim" / hf_dir.resolve().name
            slim_folder(hf_dir, tall, source)
        if tall:
            converted = scratch / "slim.gguf"
            known.setdefault("general.size_label", whole_size_label(whole_dir or hf_dir))
        command = [sys.executable, str(toolchain / SCRIPT), str(source.resolve())]
        command += ["--outfile", str(converted.resolve()), "--outtype", outtype]
        if vocab_only:
            command.append("--vocab-only")
        if known:
            facts = scratch / "metadata.json"
            facts.write_text(json.dumps(known), encoding="utf-8")
            command += ["--metadata", str(facts.resolve())]
        try:
            code, lines = _run(command, toolchain, progress)
            if code != 0 or not converted.is_file():
                raise UserError(
                    f"{hf_dir} could not be converted to GGUF: {converter_reason(lines)}. "
                    "Choose a base of the catalogue, or check that the folder is complete."
                )
            if tall:
                put_back(converted, temporary, tall)
            header = read_header(temporary)
            temporary.replace(out_file)
        finally:
            temporary.unlink(missing_ok=True)
    return header


def check_convertible(hf_dir: Path, *, toolchain: Path) -> None:
    """Convert the tokenizer alone, to learn before training whether the converter knows it.

    Args:
        hf_dir: model folder; its weights are not read.
        toolchain: the converter's folder.

    Raises:
        UserError: if architecture or tokenizer are unknown to the converter.
    """
    with tempfile.TemporaryDirectory(prefix="supportbot-vocab-") as scratch:
        to_gguf(hf_dir, Path(scratch) / "vocab.gguf", toolchain=toolchain, vocab_only=True)


def _run(command: list[str], toolchain: Path, progress: Progress) -> tuple[int, list[str]]:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(toolchain / "gguf-py"), str(toolchain)])
    # The converter must use its own gguf package, touch no network, and leave no bytecode in
    # the cached tree.
    environment.pop("NO_LOCAL_GGUF", None)
    environment["HF_HUB_OFFLINE"] = "1"
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    lines: list[str] = []
    tensors = 0
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if _TENSOR.search(line):
                tensors += 1
                progress("convert tensors", tensors, None)
    return process.returncode, lines


def converter_reason(lines: list[str]) -> str:
    """The line of a failed converter's log that says why."""
    meaningful = [
        line.strip()
        for line in lines
        if line.strip() and not line.startswith((" ", "INFO:", "DEBUG:", "Traceback", "WARNING:"))
    ]
    if not meaningful:
        return "the converter gave no reason"
    # NotImplementedError and its like stand alone; prefer a line that names what was unknown.
    named = [line for line in meaningful if re.match(r"^(ERROR:|\w*(Error|Exception)\b.*: )", line)]
    return (named or meaningful)[-1].removeprefix("ERROR:").rstrip(".")


def quantize(
    source: Path,
    out_file: Path,
    quant: str = "Q4_K_M",
    *,
    threads: int | None = None,
    progress: Progress = silent,
) -> QuantReport:
    """Quantize an F16, BF16 or F32 GGUF in process.

    Args:
        source: the file to read.
        out_file: the file to write; it appears when it is complete and checked.
        quant: one of :data:`QUANTS` but F16.
        threads: CPU threads; None for all cores.
        progress: told about each tensor.

    Raises:
        UserError: if the quantization is unknown, the source is damaged or already quantized, or
            a K-quant was asked for and less than half of the weights could be stored so.
    """
    if quant not in _FILE_TYPES:
        raise UserError(f"Quantization {quant!r} is unknown. Known: {', '.join(_FILE_TYPES)}.")
    header = read_header(source)
    quantized = sorted(set(header.weights_by_type()) - PLAIN_TYPES)
    if quantized:
        raise UserError(
            f"{source} is already quantized ({', '.join(quantized)}). Quantize the F16 file."
        )
    out_file.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(out_file)
    threads = threads or os.cpu_count() or 1
    tall = tall_in_gguf(header)
    with tempfile.TemporaryDirectory(dir=out_file.parent, prefix=".quantize-") as name:
        whole, written = source, temporary
        if tall:
            whole, written = Path(name) / "slim.gguf", Path(name) / "slim.quantized.gguf"
            slim_gguf(source, header, tall, whole)
        try:
            _quantize(whole, written, quant, threads, progress)
            if tall:
                whole.unlink()
                put_back_quantized(written, source, tall, temporary, threads)
            report = quant_report(read_header(temporary), quant)
            if quant not in {"Q8_0"} and report.k_quant_share < _MIN_K_QUANT_SHARE:
                raise UserError(
                    f"Only {report.k_quant_share:.0%} of the weights of {source} fit {quant}: "
                    "K-quants want rows that are a multiple of 256. Use Q8_0 or a base with such "
                    "rows."
                )
            temporary.replace(out_file)
        finally:
            temporary.unlink(missing_ok=True)
    return report


def _quantize(source: Path, target: Path, quant: str, threads: int, progress: Progress) -> None:
    """Let llama.cpp quantize a file."""
    module = library()
    parameters = module.llama_model_quantize_default_params()
    parameters.ftype = _FILE_TYPES[quant]
    parameters.nthread = threads
    log: list[str] = []

    def listen(line: str) -> None:
        log.append(line)
        if step := _STEP.match(line.strip()):
            progress(f"quantize to {quant}", int(step[1]), int(step[2]))

    with log_lines(listen):
        code = module.llama_model_quantize(
            os.fsencode(source), os.fsencode(target), ctypes.byref(parameters)
        )
    if code != 0:
        errors = [line.strip() for line in log if "failed" in line or "error" in line.lower()]
        raise UserError(
            f"{source} could not be quantized to {quant} "
            f"({(errors or ['no reason given'])[-1]}). Export it again and check the disk."
        )


def quant_report(header: GgufHeader, quant: str) -> QuantReport:
    """Count the weights of a file by the type that they are stored in."""
    counts = header.weights_by_type()
    total = sum(counts.values()) or 1
    plain = {"F32", "F16", "BF16"}
    fallback = {name: n for name, n in counts.items() if name not in K_QUANTS and name not in plain}
    return QuantReport(
        quant=quant,
        weights_by_type=counts,
        k_quant_share=sum(n for name, n in counts.items() if name in K_QUANTS) / total,
        fallback_types=tuple(sorted(fallback)) if quant != "Q8_0" else (),
        fallback_share=sum(fallback.values()) / total if quant != "Q8_0" else 0.0,
    )


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
