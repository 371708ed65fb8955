"""Verifying a bundle as it stands on a disk.

What lives here: every check that can be made without running the model. What does not: measuring
the model again.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from supportbot_dagster.artifacts import MANIFEST, Manifest, check_file, load_manifest
from supportbot_dagster.bundle.build import (
    CHECKSUMS,
    SETTINGS,
    TRUST_REPORT,
    BotSettings,
    checksums,
    read_settings,
)
from supportbot_dagster.bundle.modelfile import template_problems
from supportbot_dagster.errors import UserError
from supportbot_dagster.export.gguf_file import read_header

REQUIRED = (
    "Modelfile",
    "install.sh",
    "install.ps1",
    "uninstall.sh",
    "support-bot.ts",
    "MODEL_CARD.md",
    SETTINGS,
    CHECKSUMS,
    TRUST_REPORT,
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a bundle.

    Args:
        check: which check found it: ``manifest``, ``files``, ``checksums``, ``settings``,
            ``gguf``, ``template`` or ``reports``.
        message: what is wrong where.
    """

    check: str
    message: str


def verify_bundle(bundle: Path, *, allow_extra: tuple[str, ...] = ()) -> list[Problem]:
    """All problems of a bundle; an empty list means that it is sound.

    Args:
        bundle: the folder.
        allow_extra: paths relative to it that may be there without being listed.

    Raises:
        UserError: if the folder does not exist.
    """
    if not bundle.is_dir():
        raise UserError(f"{bundle} is no folder. Point to the folder that holds {MANIFEST}.")
    problems: list[Problem] = []
    try:
        manifest = load_manifest(UPath(bundle))
    except UserError as error:
        problems.append(Problem("manifest", str(error)))
    else:
        problems += _check_files(bundle, manifest, allow_extra)
    problems += [
        Problem("files", f"{name} is missing") for name in REQUIRED if not (bundle / name).is_file()
    ]
    problems += _check_checksums(bundle, allow_extra)
    problems += _check_report(bundle)
    try:
        settings = read_settings(bundle)
    except UserError as error:
        return [*problems, Problem("settings", str(error))]
    return [*problems, *_check_model(bundle, settings)]


def _check_files(bundle: Path, manifest: Manifest, allow_extra: tuple[str, ...]) -> list[Problem]:
    listed = {entry.path for entry in manifest.files}
    problems = [
        Problem("files", problem)
        for entry in manifest.files
        if (problem := check_file(bundle, entry)) is not None
    ]
    for path in sorted(bundle.rglob("*")):
        name = path.relative_to(bundle).as_posix()
        if path.is_dir() or name == MANIFEST or name in listed or name in allow_extra:
            continue
        problems.append(Problem("files", f"{name} is not listed in {MANIFEST}"))
    return problems


def _check_checksums(bundle: Path, allow_extra: tuple[str, ...]) -> list[Problem]:
    path = bundle / CHECKSUMS
    if not path.is_file():
        return []
    stated = set(path.read_text(encoding="utf-8", errors="replace").splitlines())
    found = {
        line for line in checksums(bundle).splitlines() if line.split("  ", 1)[1] not in allow_extra
    }
    names = sorted({line.split("  ", 1)[-1] for line in stated ^ found})
    return [Problem("checksums", f"{CHECKSUMS} does not fit {name}") for name in names]


def _check_report(bundle: Path) -> list[Problem]:
    path = bundle / TRUST_REPORT
    if not path.is_file():
        return []
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return [Problem("reports", f"{TRUST_REPORT} is not JSON")]
    return [] if report else [Problem("reports", f"{TRUST_REPORT} is empty")]


def _check_model(bundle: Path, settings: BotSettings) -> list[Problem]:
    try:
        header = read_header(bundle / settings.gguf)
    except UserError as error:
        return [Problem("gguf", str(error))]
    modelfile = bundle / "Modelfile"
    if not modelfile.is_file():
        return []
    text = modelfile.read_text(encoding="utf-8", errors="replace")
    problems = [Problem("template", message) for message in template_problems(text, header)]
    if f"FROM ./{settings.gguf}\n" not in text:
        problems.append(Problem("template", f"Modelfile does not name {settings.gguf}"))
    return problems
