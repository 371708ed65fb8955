from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.artifacts import MANIFEST, load_manifest
from supportbot_dagster.bundle.build import read_settings
from supportbot_dagster.bundle.verify import verify_bundle
from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.refusals.markers import REFUSAL_MARKERS


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_bundle_holds_everything_and_verifies(bundle: Path) -> None:
    assert set(files(bundle)) == {
        *("Modelfile", "MODEL_CARD.md", "SHA256SUMS", "bot.json", MANIFEST),
        *("install.sh", "install.ps1", "uninstall.sh", "support-bot.ts"),
        *("tracklight-support-helper.gguf", "reports/trust.json", "reports/probes.json"),
    }
    assert verify_bundle(bundle) == []
    assert (bundle / "install.sh").stat().st_mode & 0o111
    settings = read_settings(bundle)
    assert settings.threshold == -0.9
    assert settings.refusal_markers == REFUSAL_MARKERS
    assert settings.serving.temperature == 0.4


def test_the_same_inputs_give_the_same_bytes(build: Callable[..., Path]) -> None:
    assert files(build("one")) == files(build("two"))
    assert files(build("three", threshold=None)) != files(build("four"))


def test_the_manifest_lists_every_file_with_hash_and_size(bundle: Path) -> None:
    from upath import UPath

    manifest = load_manifest(UPath(bundle))
    expected = {name: digest for name, digest in files(bundle).items() if name != MANIFEST}
    assert {entry.path: entry.sha256 for entry in manifest.files} == expected
    assert all((bundle / entry.path).stat().st_size == entry.size for entry in manifest.files)
    assert (manifest.asset, manifest.month) == ("ollama_bundle", "2026-01")


def test_the_card_shows_figures_limits_licence_and_failures(
    build: Callable[..., Path], failed_gate: Any
) -> None:
    card = (build("good", figures=[("probes passed", "9 of 10")]) / "MODEL_CARD.md").read_text()
    for text in ("91.0%", "80.0%", "passed", "9 of 10", "Apache-2.0", "-0.9", "as of 2026-01"):
        assert text in card
    assert "FAILED" not in card
    failed = build("bad", gates=[failed_gate], allow_failed_gates=True)
    assert "FAILED" in (failed / "MODEL_CARD.md").read_text()


def test_a_failed_or_missing_gate_stops_the_packaging(
    build: Callable[..., Path], failed_gate: Any, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"fails 1 of 1 gates .*unanswerable"):
        build("failed", gates=[failed_gate])
    with pytest.raises(UserError, match="No gate"):
        build("unmeasured", gates=[])
    with pytest.raises(UserError, match="trust report"):
        build("no-report", reports={"probes": {}})
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_used_folder_and_an_unsound_model_are_refused(
    build: Callable[..., Path], bundle: Path, gguf: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="not empty"):
        build("bundle")
    gguf.write_bytes(gguf.read_bytes()[:-10])
    with pytest.raises(UserError, match="not a sound GGUF"):
        build("cut")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "no chat template"),
        ("{{ tools }}{% for m in messages %}{{ m.content }}{% endfor %}", "knows tools"),
        (
            "{% for m in messages %}{{ m.content }}{% endfor %}"
            "{% if add_generation_prompt %}<think>{% endif %}",
            "differently",
        ),
    ],
)
def test_a_template_that_ollama_would_not_follow_is_refused(
    build: Callable[..., Path],
    make_gguf: Callable[[str | None], Path],
    template: str | None,
    message: str,
) -> None:
    with pytest.raises(UserError, match=message):
        build("other", gguf=make_gguf(template))


def test_settings_that_do_not_fit_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no bundle"):
        read_settings(tmp_path)
    path = bundle / "bot.json"
    value = json.loads(path.read_text())
    for broken in ("{", json.dumps({**value, "serving": {"top_p": 7}}), json.dumps({"a": 1})):
        path.write_text(broken)
        with pytest.raises(UserError, match="not valid"):
            read_settings(bundle)
