"""The GGUF converter, taken from the source distribution of the installed llama-cpp-python.

What lives here: fetching, checking, unpacking and caching that converter, and what lies beside it:
the vocabularies of Gemma 4 and Llama 3 and published chat templates. What does not: running it
(:mod:`supportbot_dagster.export.convert`) and making tokenizers of the vocabularies
(:mod:`supportbot_dagster.export.tokenizer_of_gguf`).

The source distribution holds the converter at the very commit that the installed runtime was
compiled from, so the two cannot drift apart. It is fetched once with pip and checked against a
pinned sha256.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import uuid
from pathlib import Path, PurePosixPath

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.progress import Progress, silent

SDIST_SHA256 = {
    "0.3.36": "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
}
"""Known versions of llama-cpp-python and the sha256 of their source distributions."""

CACHE_VARIABLE = "SUPPORTBOT_CACHE"
SDIST_VARIABLE = "SUPPORTBOT_LLAMA_SDIST"
SCRIPT = "convert_hf_to_gguf.py"
_PACKAGE = "llama-cpp-python"
_INSIDE = PurePosixPath("vendor/llama.cpp")
GEMMA4_VOCABULARY = "models/ggml-vocab-gemma-4.gguf"
LLAMA3_VOCABULARY = "models/ggml-vocab-llama-bpe.gguf"
GEMMA4_TEMPLATE = "models/templates/google-gemma-4-31B-it.jinja"
LLAMA31_TEMPLATE = "models/templates/meta-llama-Llama-3.1-8B-Instruct.jinja"
LLAMA32_TEMPLATE = "models/templates/meta-llama-Llama-3.2-3B-Instruct.jinja"
_WANTED = (
    *(SCRIPT, "LICENSE", "conversion/", "gguf-py/gguf/"),
    *(GEMMA4_VOCABULARY, LLAMA3_VOCABULARY),
    # Texts, and their token ids by the published tokenizers.
    *(f"{GEMMA4_VOCABULARY}.inp", f"{GEMMA4_VOCABULARY}.out"),
    *(f"{LLAMA3_VOCABULARY}.inp", f"{LLAMA3_VOCABULARY}.out"),
    *(GEMMA4_TEMPLATE, LLAMA31_TEMPLATE, LLAMA32_TEMPLATE),
)
"""What is unpacked: files, and folders where a name ends with a stroke."""
_STAMP = "supportbot-toolchain.json"
_FETCH_TIMEOUT_SECONDS = 900


def default_cache_dir() -> Path:
    """Where downloads are kept: ``SUPPORTBOT_CACHE``, else the user's cache folder."""
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        return Path(override)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("supportbot"))


def converter(cache_dir: Path | None = None, progress: Progress = silent) -> Path:
    """The folder that holds ``convert_hf_to_gguf.py`` with its ``conversion`` and ``gguf-py``.

    The first call fetches it (about 77 MB); later calls check the cached files and reuse them. A
    folder that was unpacked when less was wanted is unpacked again, from the archive beside it.

    Args:
        cache_dir: where to keep it; :func:`default_cache_dir` by default.
        progress: told while the archive is fetched and unpacked.

    Raises:
        UserError: if llama-cpp-python is missing or of an unknown version, if the archive cannot
            be fetched, or if a given archive is not the expected one.
    """
    version = installed_version()
    digest = expected_sha256(version)
    folder = (cache_dir or default_cache_dir()) / "llama-cpp" / version
    tree = folder / "converter"
    if _tree_is_sound(tree, digest):
        return tree
    archive = _archive(folder, version, digest, progress)
    progress("unpack the GGUF converter", 0, 1)
    _unpack(archive, tree, digest)
    progress("unpack the GGUF converter", 1, 1)
    return tree


def installed_version() -> str:
    """Version of the installed llama-cpp-python.

    Raises:
        UserError: if it is not installed.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        raise UserError(
            f"{_PACKAGE} is not installed in {sys.prefix}. Install it with the project's "
            "constraints file."
        ) from None


def expected_sha256(version: str) -> str:
    """The pinned sha256 of a version's source distribution.

    Raises:
        UserError: if the version is not pinned; the message names those that are.
    """
    try:
        return SDIST_SHA256[version]
    except KeyError:
        raise UserError(
            f"No checksum is pinned for {_PACKAGE} {version}. Install one of the known versions: "
            f"{', '.join(sorted(SDIST_SHA256))}."
        ) from None


def _archive(folder: Path, version: str, digest: str, progress: Progress) -> Path:
    given = os.environ.get(SDIST_VARIABLE)
    if given:
        path = Path(given)
        if not path.is_file():
            raise UserError(
                f"{SDIST_VARIABLE} names {path}, which is no file. Point it to "
                f"llama_cpp_python-{version}.tar.gz or unset it."
            )
        if sha256_file(path) != digest:
            raise UserError(
                f"{path} (from {SDIST_VARIABLE}) is not the source distribution of {_PACKAGE} "
                f"{version}: its sha256 differs from {digest}. Download it again."
            )
        return path
    cached = folder / f"llama_cpp_python-{version}.tar.gz"
    if cached.is_file():
        if sha256_file(cached) == digest:
            return cached
        cached.unlink()
    progress("fetch the GGUF converter", 0, 1)
    _download(cached, version, digest)
    progress("fetch the GGUF converter", 1, 1)
    return cached


def _download(target: Path, version: str, digest: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
        command = [
            *(sys.executable, "-m", "pip", "download", "--no-deps", "--retries", "1"),
            *("--no-binary", _PACKAGE, f"{_PACKAGE}=={version}", "-d", scratch),
        ]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=_FETCH_TIMEOUT_SECONDS,
                check=False,
            )
            said = done.stderr.strip().splitlines() or done.stdout.strip().splitlines()
            reason = "" if done.returncode == 0 else _pip_reason(said)
        except subprocess.TimeoutExpired:
            reason = f"pip took longer than {_FETCH_TIMEOUT_SECONDS} s"
        archives = list(Path(scratch).glob("*.tar.gz"))
        if reason or not archives:
            raise UserError(
                f"The source distribution of {_PACKAGE} {version} could not be fetched "
                f"({reason or 'pip left no archive'}). Connect to a package index, or set "
                f"{SDIST_VARIABLE} to a copy of llama_cpp_python-{version}.tar.gz."
            )
        found = sha256_file(archives[0])
        if found != digest:
            raise UserError(
                f"The package index served llama_cpp_python-{version}.tar.gz with the sha256 "
                f"{found}, not {digest}. Do not use it; check the index that pip is set to."
            )
        archives[0].replace(target)


def _pip_reason(lines: list[str]) -> str:
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip failed"])[-1].removeprefix("ERROR:").strip()


def _unpack(archive: Path, tree: Path, digest: str) -> None:
    """Unpack the wanted members next to ``tree`` and rename them into place, stamp last."""
    tree.parent.mkdir(parents=True, exist_ok=True)
    scratch = tree.with_name(f".{tree.name}.{uuid.uuid4().hex}")
    try:
        files: dict[str, str] = {}
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    inside = _wanted(member)
                    if inside is None:
                        continue
                    member.name = inside
                    tar.extract(member, scratch, filter="data")
                    files[inside] = sha256_file(scratch / inside)
        except (tarfile.TarError, EOFError) as error:
            raise UserError(
                f"{archive} cannot be unpacked ({error}). Download the archive again."
            ) from None
        if SCRIPT not in files:
            raise UserError(f"{archive} holds no {SCRIPT}. Download the archive again.")
        stamp = {
            "archive_sha256": digest,
            "wanted": list(_WANTED),
            "files": dict(sorted(files.items())),
        }
        (scratch / _STAMP).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
        if tree.exists():
            stale = tree.with_name(f".{tree.name}.{uuid.uuid4().hex}")
            tree.rename(stale)
            shutil.rmtree(stale, ignore_errors=True)
        try:
            scratch.rename(tree)
        except OSError:
            # Another process finished first; its tree will do if it is sound.
            if not _tree_is_sound(tree, digest):
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _wanted(member: tarfile.TarInfo) -> str | None:
    """The member's path below the converter's folder, or None if it is not needed."""
    parts = PurePosixPath(member.name).parts[1:]
    root = _INSIDE.parts
    if not member.isfile() or parts[: len(root)] != root:
        return None
    inside = "/".join(parts[len(root) :])
    wanted = any(
        inside == name or (name[-1] == "/" and inside.startswith(name)) for name in _WANTED
    )
    return inside if wanted else None


def _tree_is_sound(tree: Path, digest: str) -> bool:
    try:
        stamp = json.loads((tree / _STAMP).read_text(encoding="utf-8"))
        return (
            stamp["archive_sha256"] == digest
            and stamp["wanted"] == list(_WANTED)
            and all(sha256_file(tree / name) == sha for name, sha in stamp["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
