"""Getting a base model: the embedded one, a local folder, or a pinned download.

What lives here: turning a catalogue entry into a local snapshot folder, checked. What does not:
the catalogue (:mod:`supportbot_dagster.training.catalogue`), how the embedded base was made
(:mod:`supportbot_dagster.training.pocket`), and whether the model can be trained
(:mod:`supportbot_dagster.training.preflight`).

huggingface_hub does the talking. Its own download of a snapshot throws an unfinished file away when
the process ends, which is dear at ten gigabytes; so files are asked for one by one into a folder
that outlives the run, and each is checked against the hash that the hub lists.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_file, sha256_path
from supportbot_dagster.progress import Progress, silent
from supportbot_dagster.training.catalogue import Base
from supportbot_dagster.training.chat_template import use_plain_template

BASE_DIR_VARIABLE = "SUPPORTBOT_BASE_DIR"
"""Names a local folder that holds the base, for machines without a model hub."""

_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
_INDEX = "model.safetensors.index.json"
# Only of the top folder: Llama's repositories keep a second copy of the weights in original/.
_WANTED = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "LICENSE*", "NOTICE*", "USE_*")
_PART_OF_MANY = re.compile(r"-\d+-of-\d+\.safetensors$")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ATTEMPTS = 4
_MAX_HEADER_BYTES = 100 << 20
"""The limit of the safetensors format."""


@dataclass(frozen=True)
class BaseSnapshot:
    """Where a snapshot came from.

    Args:
        origin: in words; names the commit of a download.
        commit: the hub's commit; None for the embedded base and for a local folder.
    """

    origin: str
    commit: str | None = None


@dataclass(frozen=True)
class _HubFile:
    name: str
    size: int
    sha256: str | None
    blob: str | None


def embedded_base_dir() -> Path:
    """The folder of the embedded ``pocket`` base inside the package."""
    return Path(__file__).parent / "pocket_base"


def base_version(base: Base) -> str:
    """What tells one state of a base from another: its revision, or the embedded one's content."""
    return base.revision if base.hub_id is not None else sha256_path(embedded_base_dir())


def fetch_base(
    base: Base,
    out_dir: Path,
    *,
    work_dir: Path | None = None,
    progress: Progress = silent,
    endpoint: str | None = None,
) -> BaseSnapshot:
    """Put a snapshot of the base into ``out_dir``, with the plain chat template of its family.

    Args:
        base: what to get.
        out_dir: gets the files.
        work_dir: keeps a download until it is whole; with the same folder a later call goes on
            where a broken one stopped. None keeps it in ``out_dir``.
        progress: told each file and its mebibytes.
        endpoint: address of the hub; None for ``HF_ENDPOINT`` or the public one.

    Raises:
        UserError: if a file is missing or damaged, the base is gated and no token is set, the
            revision is unknown, its chat template is of no known family, the disk is full, or the
            hub does not answer.
    """
    local = os.environ.get(BASE_DIR_VARIABLE)
    if base.hub_id is None:
        _copy(embedded_base_dir(), out_dir)
        found = BaseSnapshot("embedded in the package")
    elif local:
        _copy(Path(local), out_dir)
        found = BaseSnapshot(f"local folder {local}")
    else:
        commit = _download(base, out_dir, work_dir or out_dir, progress, endpoint)
        found = BaseSnapshot(f"{base.hub_id} at commit {commit}", commit)
    check_base_dir(out_dir)
    if base.hub_id is not None:
        # Before anything is counted, trained or served: the published template also knows tools,
        # thinking and the date, and the GGUF carries the plain one.
        use_plain_template(out_dir)
    return found


def check_base_dir(folder: Path) -> None:
    """Refuse a folder that is no whole model.

    Raises:
        UserError: naming the file that is missing, cut or does not fit the others.
    """
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} holds no {name}, so it is no whole base model. "
                f"Download it again, or mend {BASE_DIR_VARIABLE}."
            )
    for name in _NEEDED:
        _read_json(folder / name)
    held = {path.name: _tensor_names(path) for path in sorted(folder.glob("*.safetensors"))}
    if not held:
        raise UserError(f"{folder} holds no *.safetensors weights. Download them again.")
    index = folder / _INDEX
    if not index.is_file():
        part = next((name for name in held if _PART_OF_MANY.search(name)), None)
        if part and len(held) != int(part.rpartition("-of-")[2].partition(".")[0]):
            raise UserError(
                f"{folder} holds {part} but neither all parts nor {_INDEX}. Download them again."
            )
        return
    placed = _read_json(index).get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise UserError(f"{index} places no weights. Download it again.")
    for name in sorted({str(name) for name in placed.values()}):
        if name not in held:
            raise UserError(
                f"{folder} holds no {name}, in which {_INDEX} places weights. Download it again."
            )
    for tensor, name in placed.items():
        if tensor not in held[name]:
            raise UserError(
                f"{folder / name} holds no {tensor}, which {_INDEX} places there. Download both "
                "again from the same revision."
            )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is not JSON. Download it again.") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object. Download it again.")
    return value


def _tensor_names(path: Path) -> frozenset[str]:
    """Names in a safetensors file, whose length must be what its header says."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, _MAX_HEADER_BYTES):
                raise ValueError
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise UserError(
            f"{path} is no safetensors file, or cut in its header ({size:,} bytes). "
            "Download it again."
        ) from None
    if 8 + length + end != size:
        raise UserError(
            f"{path} has {size:,} bytes where its header wants {8 + length + end:,}: the download "
            "was cut. Download it again."
        )
    return frozenset(header)


def _copy(source: Path, out_dir: Path) -> None:
    if not source.is_dir():
        raise UserError(
            f"{source} is no folder, so the base cannot be read from it. "
            f"Mend {BASE_DIR_VARIABLE}, or install the package again."
        )
    check_base_dir(source)
    out_dir.mkdir(parents=True, exist_ok=True)
    try:
        for path in sorted(source.iterdir()):
            if path.is_file() and _wanted(path.name):
                shutil.copyfile(path, out_dir / path.name)
    except OSError as error:
        raise UserError(
            f"{source} cannot be copied to {out_dir} ({error.strerror}). Check the disk."
        ) from None


def _wanted(name: str) -> bool:
    return "/" not in name and any(fnmatchcase(name, pattern) for pattern in _WANTED)


def _download(
    base: Base, out_dir: Path, work_dir: Path, progress: Progress, endpoint: str | None
) -> str:
    """Download what is not there yet, check it, and link it into ``out_dir``; gives the commit."""
    from huggingface_hub import HfApi

    assert base.hub_id is not None
    api = HfApi(endpoint=endpoint, library_name="supportbot-dagster")
    with _told(base, str(api.endpoint)):
        info = api.model_info(base.hub_id, revision=base.revision, files_metadata=True)
    commit = str(info.sha)
    if _COMMIT.fullmatch(base.revision) and commit != base.revision:
        raise UserError(
            f"The hub gave commit {commit} of {base.hub_id} where {base.revision} was asked for. "
            f"Check HF_ENDPOINT ({api.endpoint})."
        )
    files = _listed(base, info.siblings or ())
    work = work_dir / f".download-{commit}"
    work.mkdir(parents=True, exist_ok=True)
    _check_room(base, files, work)
    with _told(base, str(api.endpoint)):
        # The smallest first: a gate or a wrong token shows before any large file.
        for file in sorted(files, key=lambda file: file.size):
            _fetch_file(base, commit, file, work, progress, str(api.endpoint))
    out_dir.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = out_dir / file.name
        target.unlink(missing_ok=True)
        try:
            os.link(work / file.name, target)
        except OSError:
            shutil.copyfile(work / file.name, target)
    if work_dir == out_dir:
        shutil.rmtree(work)
    return commit


def _listed(base: Base, siblings: Sequence[Any]) -> list[_HubFile]:
    """The files to download, of those that the hub lists."""
    files = [
        _HubFile(
            name=item.rfilename,
            size=int(item.size or 0),
            sha256=item.lfs.sha256 if item.lfs else None,
            blob=item.blob_id,
        )
        for item in siblings
        if _wanted(item.rfilename)
    ]
    names = {file.name for file in files}
    weights = any(name.endswith(".safetensors") for name in names)
    for needed in (*_NEEDED, *(() if weights else ("*.safetensors weights",))):
        if needed not in names:
            raise UserError(
                f"{base.hub_id} at {base.revision} lists no {needed}, so it is no whole base "
                "model. Choose another revision or base."
            )
    return files


def _check_room(base: Base, files: Sequence[_HubFile], work: Path) -> None:
    missing = sum(
        file.size - _size(work / f"{file.name}.part")
        for file in files
        if not (work / file.name).is_file()
    )
    free = shutil.disk_usage(work).free
    if missing > free:
        raise UserError(
            f"{base.title} needs {missing / 2**30:.1f} GiB more at {work} and "
            f"{free / 2**30:.1f} GiB are free. Make room, or set SUPPORTBOT_HOME to a larger disk."
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class _ToldFile(FileIO):
    """A file that tells its length after every write."""

    def __init__(self, path: Path, tell: Callable[[int], None]) -> None:
        super().__init__(path, "r+b" if path.exists() else "w+b")
        self.seek(0, os.SEEK_END)
        self._tell_length = tell

    def write(self, data: Any) -> int:
        # A raw file may write less than it was given, and the caller counts what it gave.
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += super().write(view[done:])
        self._tell_length(self.tell())
        return done


def _fetch_file(
    base: Base, commit: str, file: _HubFile, work: Path, progress: Progress, endpoint: str
) -> None:
    """Bring one file, going on from what is there; a broken connection is taken up again."""
    import httpx2

    target, part = work / file.name, work / f"{file.name}.part"
    label, total = f"download {file.name}, MiB", _mebibytes(file.size)

    def tell(done: int) -> None:
        progress(label, done >> 20 if done < file.size else total, total)

    if target.is_file() and target.stat().st_size == file.size:
        tell(file.size)
        return
    tries = damaged = 0
    while True:
        before = _size(part)
        if before > file.size:
            part.unlink()
            before = 0
        try:
            if before < file.size or not part.exists():
                _get(base, commit, file, part, before, endpoint, tell)
        except (httpx2.TransportError, OSError) as error:
            tries = 0 if _size(part) > before else tries + 1
            if tries >= _ATTEMPTS or not _passing(error):
                raise
            time.sleep(min(tries, 3))
            continue
        if _matches(part, file):
            part.replace(target)
            return
        part.unlink()
        damaged += 1
        if damaged == 2:
            raise UserError(
                f"{file.name} of {base.hub_id} arrives with another hash than the hub lists. "
                "Check HF_ENDPOINT and what stands between this machine and the hub."
            )


def _passing(error: Exception) -> bool:
    """Whether trying again may help: a broken connection or a busy server, nothing else."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        return int(error.response.status_code) >= 500
    if isinstance(error, OfflineModeIsEnabled):
        return False
    # huggingface_hub raises an OSError without a number where a file came out too short.
    return not isinstance(error, OSError) or error.errno is None


def _get(
    base: Base,
    commit: str,
    file: _HubFile,
    part: Path,
    have: int,
    endpoint: str,
    tell: Callable[[int], None],
) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    assert base.hub_id is not None
    url = hf_hub_url(base.hub_id, file.name, revision=commit, endpoint=endpoint)
    headers = build_hf_headers(library_name="supportbot-dagster")
    found = get_hf_file_metadata(url, headers=headers, endpoint=endpoint)
    if urlsplit(found.location).netloc != urlsplit(url).netloc:
        # A signed address of the storage behind the hub: the token is none of its business.
        headers.pop("authorization", None)
    # A compressed answer cannot be taken up in the middle.
    headers["accept-encoding"] = "identity"
    with _ToldFile(part, tell) as out:
        http_get(
            found.location,
            out,
            resume_size=have,
            headers=headers,
            expected_size=file.size,
            displayed_filename=file.name,
            tqdm_class=_SilentBar,
        )


class _SilentBar:
    """What huggingface_hub takes for a progress bar; the file itself tells how far it is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __enter__(self) -> "_SilentBar":
        return self

    def __exit__(self, *error: object) -> None: ...

    def update(self, n: float | None = 1) -> None:
        """Called for every chunk."""

    def close(self) -> None:
        """Called at the end."""


def _mebibytes(size: int) -> int:
    """Bytes as whole mebibytes, rounded up."""
    return -(-size >> 20)


def _matches(path: Path, file: _HubFile) -> bool:
    """Whether a file is the one that the hub lists: by sha256, or by git's hash of small ones."""
    if path.stat().st_size != file.size:
        return False
    if file.sha256 is not None:
        return sha256_file(path) == file.sha256
    if file.blob is None:
        return True
    content = path.read_bytes()
    # git names a blob by the SHA-1 of its length and content.
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == file.blob


@contextmanager
def _told(base: Base, endpoint: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into one line."""
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import get_token

    name = f"{base.title} ({base.hub_id})"
    try:
        yield
    except GatedRepoError:
        how = (
            "The account of HF_TOKEN has no access: accept the licence there with it"
            if get_token()
            else "Accept the licence there and set HF_TOKEN in the environment"
        )
        raise UserError(f"{name} is gated. {how}: {endpoint}/{base.hub_id}") from None
    except RepositoryNotFoundError:
        how = (
            "HF_TOKEN is set, but its account does not see it"
            if get_token()
            else "If it is gated or private, set HF_TOKEN in the environment"
        )
        raise UserError(f"{name} is not found at {endpoint}. {how}.") from None
    except RevisionNotFoundError:
        raise UserError(
            f"{name} has no revision {base.revision}. Install a newer supportbot_dagster, or mend "
            "the revision in the catalogue."
        ) from None
    except RemoteEntryNotFoundError as error:
        path = urlsplit(str(error.response.url)).path
        raise UserError(
            f"{name} at {base.revision} lists {path.rpartition('/')[2]} and does not hold it. "
            "Try again later, or choose another revision."
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            how = "The hub does not take HF_TOKEN: make a new token or unset it"
        elif status == 403:
            how = "HF_TOKEN may not read gated repositories: give it that right"
        elif status == 429:
            how = "Too many requests from here: wait some minutes, or set HF_TOKEN"
        else:
            how = f"Try again later, or set {BASE_DIR_VARIABLE} to a folder that holds it"
        raise UserError(
            f"{name} at {base.revision} cannot be downloaded: the hub answers {status}. {how}."
        ) from None
    except (httpx2.TransportError, OfflineModeIsEnabled) as error:
        raise UserError(
            f"{name} cannot be downloaded: the hub at {endpoint} cannot be reached "
            f"({type(error).__name__}). Check the network and try again, which goes on from what "
            f"has arrived, or set {BASE_DIR_VARIABLE} to a folder that holds it."
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"The disk is full before {name} has arrived ({base.download_gib:g} GiB in all). "
                "Make room and try again, which goes on from what has arrived."
            ) from None
        reason = error.strerror or str(error).splitlines()[0]
        raise UserError(
            f"{name} cannot be downloaded: {reason}. Try again, which goes on from what has "
            "arrived."
        ) from None
