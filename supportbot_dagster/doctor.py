"""What a machine lacks for each profile, what a product file does, and the fix.

What lives here: looking at the machine, the product file and the teacher model's settings. What
does not: installing anything, and asking anything that costs money.
"""

import importlib.util
import os
import shutil
import socket
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from supportbot_dagster.errors import UserError
from supportbot_dagster.leftovers import leftovers
from supportbot_dagster.product import Product, load_product, sample_product_file
from supportbot_dagster.settings import Settings, load_settings
from supportbot_dagster.training.base import BASE_DIR_VARIABLE, embedded_base_dir

BLOCKING = frozenset({"embedded", "product"})
"""Profiles without whose needs nothing runs; the others are for later, or to be weighed."""
CONNECT_SECONDS = 3.0
MIN_FREE_GIB = {"embedded": 2, "workstation": 40}


@dataclass(frozen=True)
class Finding:
    """One need on this machine.

    Args:
        profile: ``embedded`` or ``workstation``; ``product`` for the product file and the files
            that it names, ``left over`` for what nobody has filled in there, ``teacher`` for the
            teacher model.
        needs: what is needed.
        ok: whether it is there.
        state: what was found.
        fix: what to do; empty if it is there.
    """

    profile: str
    needs: str
    ok: bool
    state: str
    fix: str


def examine(settings: Settings | None = None) -> list[Finding]:
    """Look at Python, packages, disk, base models, the GPU and Ollama, then at the product file.

    Args:
        settings: of this machine; by default from the environment.
    """
    settings = settings or load_settings()
    found = [
        _finding(
            "embedded",
            "Python 3.11 to 3.13",
            (3, 11) <= sys.version_info[:2] <= (3, 13),
            sys.version.split()[0],
            "Make the environment with one of these versions.",
        ),
        _package("embedded", "torch", "train"),
        _package("embedded", "trl", "train"),
        _package("embedded", "mlflow", "train"),
        _package("embedded", "llama_cpp", "runtime"),
        _package("embedded", "sklearn", "runtime"),
        _package("embedded", "dagster_webserver", "ui"),
        _finding(
            "embedded",
            "the pocket base",
            (embedded_base_dir() / "model.safetensors").is_file(),
            str(embedded_base_dir()),
            "Install the package again, or run make pocket.",
        ),
        _disk("embedded", settings),
        _disk("workstation", settings),
        _gpu(),
    ]
    local = os.environ.get(BASE_DIR_VARIABLE)
    token = os.environ.get("HF_TOKEN")
    found.append(
        _finding(
            "workstation",
            "a way to the base model",
            bool(token) or bool(local and Path(local).is_dir()),
            "HF_TOKEN is set" if token else local or "neither a token nor a folder",
            f"Set HF_TOKEN, or {BASE_DIR_VARIABLE} to a folder that holds the base.",
        )
    )
    ollama = shutil.which("ollama")
    found.append(
        _finding(
            "workstation",
            "Ollama, to try the bundle as customers will",
            ollama is not None,
            ollama or "not found",
            "Install Ollama, or use supportbot ask.",
        )
    )
    return [*found, *_product(settings)]


def _product(settings: Settings) -> list[Finding]:
    """What the product file lacks, and its teacher."""
    path = settings.product_file
    needs = "a product file"
    try:
        product = load_product(path)
    except UserError as error:
        return [_finding("product", needs, False, str(error), "Mend the product file.")]
    found = [_finding("product", needs, True, f"{product.name}, {path}", "")]
    if path == sample_product_file():
        return [*found, *_teacher(product, own=False)]
    try:
        found += [
            _finding("left over", f"{one.key} of your own", False, one.found, one.fix)
            for one in leftovers(product)
        ]
    except UserError as error:
        found.append(
            _finding("product", "the files that it names", False, str(error), "Mend that file.")
        )
    if not product.tickets.api_url:
        source = product.tickets.source
        found.append(
            _finding(
                "product",
                "the ticket export",
                Path(source).exists() or source == "sample",
                source,
                "Put the export there, or mend tickets.source.",
            )
        )
    return [*found, *_teacher(product, own=True)]


def _teacher(product: Product, *, own: bool) -> list[Finding]:
    """Which teacher phrases the pairs and whether it can be asked; nothing is sent to it.

    Args:
        product: whose pairs.
        own: whether the product is the user's own, which nobody has recorded answers for.
    """
    from supportbot_dagster.resources.teacher_model import (
        OPENAI_URL,
        teacher_model_of_environment,
    )
    from supportbot_dagster.synthesis.model_teacher import Endpoint

    model, url = teacher_model_of_environment()
    if not model:
        state = "none is named: recorded answers" if product.teacher.recordings else "none is named"
        return [
            _finding(
                "teacher",
                "a teacher model",
                not own,
                f"{state}, else rules that phrase headings and first sentences",
                "Set SUPPORTBOT_TEACHER_MODEL for better pairs.",
            )
        ]
    found = [_finding("teacher", "a teacher model", True, model, "")]
    key = os.environ.get("SUPPORTBOT_TEACHER_API_KEY", "").strip()
    needed = url == OPENAI_URL
    found.append(
        _finding(
            "teacher",
            "its key",
            bool(key) or not needed,
            "set" if key else "not set" if needed else "not set; a server of your own needs none",
            "Set SUPPORTBOT_TEACHER_API_KEY.",
        )
    )
    try:
        Endpoint(base_url=url, model=model, api_key=key or "none")
    except UserError as error:
        return [*found, _finding("teacher", "its address", False, str(error), "Set it anew.")]
    host = urlsplit(url).hostname or ""
    problem = _unreachable(url)
    found.append(
        _finding(
            "teacher",
            "its address",
            not problem,
            f"{host}: {problem or 'reachable; no request was sent'}",
            "Check SUPPORTBOT_TEACHER_BASE_URL and the network.",
        )
    )
    prices = product.teacher.input_price, product.teacher.output_price
    found.append(
        _finding(
            "teacher",
            "its price",
            None not in prices,
            "not known, so no run can tell its cost"
            if None in prices
            else f"{prices[0]:g} and {prices[1]:g} for a million tokens sent and received",
            "Set teacher.input_price and teacher.output_price.",
        )
    )
    return found


def _unreachable(url: str) -> str:
    """Why nobody can connect to an address, or nothing; behind a proxy only the proxy is tried."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not urllib.request.proxy_bypass(host):
        proxy = urllib.request.getproxies().get(parts.scheme)
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}") if proxy else parts
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
    except OSError as error:
        return f"no connection to port {port} ({error.strerror or error})"
    return ""


def _finding(profile: str, needs: str, ok: bool, state: str, fix: str) -> Finding:
    return Finding(profile, needs, ok, state, "" if ok else fix)


def _package(profile: str, module: str, extra: str) -> Finding:
    ok = importlib.util.find_spec(module) is not None
    return _finding(
        profile,
        f"package {module}",
        ok,
        "installed" if ok else "missing",
        f"pip install 'supportbot_dagster[{extra}]'",
    )


def _disk(profile: str, settings: Settings) -> Finding:
    place = settings.home if "://" in settings.root else Path(settings.root)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    need = MIN_FREE_GIB[profile]
    return _finding(
        profile,
        f"{need} GiB of free disk",
        free >= need,
        f"{free:.0f} GiB free at {place}",
        "Free space, or set SUPPORTBOT_ROOT to a larger disk.",
    )


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    return _finding(
        "workstation",
        "an NVIDIA GPU of 16 GB or more",
        tool is not None,
        "nvidia-smi found" if tool else "none found",
        "Run the model group on a machine with a GPU; see the training plan for which.",
    )
