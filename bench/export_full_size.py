"""What the export of a full-size base costs: ``python bench/export_full_size.py``.

What lives here: a random model of Gemma 4 E2B in its published shape, the converter and the
quantizer on it alone, the whole export of it with an adapter, and the table of both. What does not:
the model (``supportbot_dagster.export.random_model``) and the comparison with transformers, which
is left out here, for it costs what the model costs.

Each of the two runs in a process of its own, which is watched from outside: anonymous memory of it
and of every process that it starts, and the disk below the work folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from supportbot_dagster.export import tall
from supportbot_dagster.export.base_shapes import KEYS, Size
from supportbot_dagster.export.convert import quantize, to_gguf
from supportbot_dagster.export.pipeline import export_gguf
from supportbot_dagster.export.random_model import build_random_model, random_adapter
from supportbot_dagster.export.toolchain import converter
from supportbot_dagster.progress import console_progress
from supportbot_dagster.training.catalogue import CATALOGUE
from supportbot_dagster.training.chat_template import use_plain_template

QUANT = "Q4_K_M"
MOST_RATIO = 1.2
MOST_GB = 4.0
LOOK_EVERY_SECONDS = 0.05
LOOK_AT_DISK_EVERY = 40  # looks at the memory
GB = 1e9


@dataclass
class Cost:
    """What a process took."""

    seconds: float = 0.0
    memory: int = 0
    disk: int = 0


def anonymous_bytes(pid: int) -> int:
    """RssAnon of a process and of all its children, in bytes; files that are mapped apart."""
    total = 0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += 1024 * int(line.split()[1])
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # it has just ended
    return total


def disk_bytes(folder: Path) -> int:
    """What the files below a folder take on the disk; one with two names counts once."""
    sizes: dict[int, int] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.stat(os.path.join(root, name))
            except OSError:
                continue
            sizes[found.st_ino] = 512 * found.st_blocks
    return sum(sizes.values())


def watch(what: str, work: Path, key: str, size: Size) -> Cost:
    """Run one of the steps in a process of its own."""
    # What the step before wrote must not go to the disk while this one is timed.
    os.sync()
    cost = Cost()
    started = time.monotonic()
    command = [sys.executable, __file__, "--do", what, "--key", key, "--size", size]
    command += ["--keep", str(work)]
    with subprocess.Popen(command) as process:
        looks = 0
        while process.poll() is None:
            cost.memory = max(cost.memory, anonymous_bytes(process.pid))
            if looks % LOOK_AT_DISK_EVERY == 0:
                cost.disk = max(cost.disk, disk_bytes(work))
            looks += 1
            time.sleep(LOOK_EVERY_SECONDS)
        cost.seconds = time.monotonic() - started
    cost.disk = max(cost.disk, disk_bytes(work))
    if process.returncode != 0:
        raise SystemExit(f"{what} ended with {process.returncode}")
    return cost


def do(what: str, work: Path, key: str, size: Size) -> None:
    """One step; the folder holds ``base``, ``adapter`` and what the steps write."""
    base, adapter = work / "base", work / "adapter"
    progress = console_progress(20)
    toolchain = converter()
    if what == "build":
        random_adapter(
            build_random_model(key, base, size, toolchain=toolchain, progress=progress),
            CATALOGUE[key].target_modules,
            adapter,
        )
        use_plain_template(base)  # as before a training
    elif what == "plain":
        tall.TALL_BYTES = sys.maxsize  # the tools as they are, with whole tensors
        to_gguf(base, work / "plain.F16.gguf", toolchain=toolchain, progress=progress)
        quantize(work / "plain.F16.gguf", work / "plain.gguf", QUANT, progress=progress)
    else:
        export_gguf(base, adapter, work / "bot.gguf", quant=QUANT, parity=False, progress=progress)


@contextmanager
def work_folder(keep: Path | None) -> Iterator[Path]:
    """The folder to work in: a new one that is removed, or the one that is kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="export-full-size-") as name:
            yield Path(name)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()


def size_of(path: Path) -> str:
    """Size of a file, or of a folder's weights."""
    files = [path] if path.is_file() else list(path.glob("*.safetensors"))
    return f"{sum(file.stat().st_size for file in files) / GB:.2f} GB"


def table(key: str, size: Size, work: Path) -> None:
    """Build, measure, print."""
    if not (work / "adapter").is_dir():
        build = watch("build", work, key, size)
        print(f"Built in {build.seconds:.0f} s with {build.memory / GB:.2f} GB of memory.\n")
    base = disk_bytes(work)
    plain = watch("plain", work, key, size)
    print(
        f"{CATALOGUE[key].title}, {size}: base {size_of(work / 'base')}, "
        f"F16 {size_of(work / 'plain.F16.gguf')}, {QUANT} {size_of(work / 'plain.gguf')}\n"
    )
    for path in work.glob("plain.*"):
        path.unlink()
    whole = watch("export", work, key, size)
    print("| | seconds | most anonymous memory, GB | most disk beside base and adapter, GB |")
    print("| --- | --: | --: | --: |")
    for name, cost in (("converter and quantizer", plain), ("export with an adapter", whole)):
        print(
            f"| {name} | {cost.seconds:.0f} | {cost.memory / GB:.2f} | "
            f"{(cost.disk - base) / GB:.2f} |"
        )
    ratio = whole.seconds / plain.seconds
    print(f"| ratio | {ratio:.2f} | | |")
    print(f"| wanted at most | {MOST_RATIO} | {MOST_GB:.0f} | |")
    (work / "bot.gguf").unlink()


def main() -> None:
    """Read the arguments, run, clean up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--key", choices=KEYS, default="gemma-4-e2b", help="base of the catalogue")
    parser.add_argument("--size", choices=("full", "small"), default="full")
    parser.add_argument(
        "--keep", type=Path, help="work in this folder and keep base and adapter for a next run"
    )
    parser.add_argument("--do", choices=("build", "plain", "export"), help="one step alone")
    given = parser.parse_args()
    if given.do:
        if given.keep is None:
            parser.error("--do needs --keep")
        do(given.do, given.keep, given.key, given.size)
        return
    with work_folder(given.keep) as work:
        table(given.key, given.size, work)


if __name__ == "__main__":
    main()
