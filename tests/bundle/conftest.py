"""A bundle around a hand-written GGUF: the smallest file that says what a real one says."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from supportbot_dagster.bundle.build import build_bundle
from supportbot_dagster.gate import Gate
from supportbot_dagster.product import Product, load_product, sample_product_file
from supportbot_dagster.training.catalogue import find_base
from supportbot_dagster.training.pocket_tokenizer import CHAT_TEMPLATE, SPECIAL_TOKENS

GATES = (
    Gate.at_least("answerable questions answered right", 0.91, 0.8, "by the judge"),
    Gate.at_least("unanswerable questions deflected", 0.97, 0.95, "by the judge"),
)
REPORTS = {"trust": {"threshold": -0.9, "cells": {"answered right": 91}}, "probes": {"passed": 9}}


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def write_gguf(path: Path, template: str | None = CHAT_TEMPLATE, *, add_bos: bool = True) -> Path:
    entries = [
        _text("general.architecture") + struct.pack("<I", 8) + _text("llama"),
        _text("tokenizer.ggml.bos_token_id") + struct.pack("<II", 4, 1),
        _text("tokenizer.ggml.eos_token_id") + struct.pack("<II", 4, 2),
        _text("tokenizer.ggml.add_bos_token") + struct.pack("<I?", 7, add_bos),
        _text("tokenizer.ggml.tokens")
        + struct.pack("<IIQ", 9, 8, len(SPECIAL_TOKENS))
        + b"".join(map(_text, SPECIAL_TOKENS)),
    ]
    if template is not None:
        entries.append(_text("tokenizer.chat_template") + struct.pack("<I", 8) + _text(template))
    tensor = _text("token_embd.weight") + struct.pack("<IQQIQ", 2, 256, 4, 12, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(entries)) + b"".join(entries) + tensor
    head += b"\0" * (-len(head) % 32)
    path.write_bytes(head + b"\x11" * (4 * 144))
    return path


@pytest.fixture
def product() -> Product:
    return load_product(sample_product_file())


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "model.gguf")


@pytest.fixture
def make_gguf(tmp_path: Path) -> Callable[..., Path]:
    return partial(write_gguf, tmp_path / "other.gguf")


@pytest.fixture
def build(gguf: Path, product: Product, tmp_path: Path) -> Callable[..., Path]:
    def build_one(name: str = "bundle", **changes: object) -> Path:
        out = tmp_path / name
        settings: dict[str, object] = {
            "reports": REPORTS,
            "gates": GATES,
            "threshold": -0.9,
            "month": "2026-01",
            **changes,
        }
        model = settings.pop("gguf", gguf)
        build_bundle(model, product, find_base("pocket"), out, **settings)  # type: ignore[arg-type]
        return out

    return build_one


@pytest.fixture
def bundle(build: Callable[..., Path]) -> Path:
    return build()


@pytest.fixture
def failed_gate() -> Gate:
    return Gate.at_least("unanswerable questions deflected", 0.5, 0.95, "by the judge")
