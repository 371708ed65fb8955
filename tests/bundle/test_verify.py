from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from supportbot_dagster.artifacts import MANIFEST
from supportbot_dagster.bundle.build import build_bundle
from supportbot_dagster.bundle.verify import verify_bundle
from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_file

MODEL = "tracklight-support-helper.gguf"


def checks(bundle: Path) -> set[str]:
    return {problem.check for problem in verify_bundle(bundle)}


def detach(path: Path) -> None:
    """Give a hard-linked file its own bytes before it is changed."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["Modelfile", "install.sh", MODEL, "reports/trust.json"])
def test_one_changed_byte_is_found_twice(bundle: Path, name: str) -> None:
    path = bundle / name
    detach(path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    assert {"files", "checksums"} <= checks(bundle)


@pytest.mark.parametrize("name", ["Modelfile", "support-bot.ts", "SHA256SUMS", MODEL])
def test_a_missing_file_is_found(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    problems = verify_bundle(bundle)
    assert any(problem.check == "files" and name in problem.message for problem in problems)


def test_an_extra_file_is_found_unless_allowed(bundle: Path) -> None:
    (bundle / "extra.txt").write_text("x")
    assert checks(bundle) == {"files", "checksums"}
    assert verify_bundle(bundle, allow_extra=("extra.txt",)) == []


@pytest.mark.parametrize("text", [None, "{", '{"files": []}'])
def test_a_missing_or_broken_manifest_is_found(bundle: Path, text: str | None) -> None:
    if text is None:
        (bundle / MANIFEST).unlink()
    else:
        (bundle / MANIFEST).write_text(text)
    assert "manifest" in checks(bundle)


def rewrite_sums(bundle: Path) -> None:
    """What someone does who changes a file and wants nobody to notice."""
    entries = json.loads((bundle / MANIFEST).read_text())
    for entry in entries["files"]:
        path = bundle / entry["path"]
        if entry["path"] != "SHA256SUMS":
            entry.update(sha256=sha256_file(path), size=path.stat().st_size)
    sums = "".join(
        f"{entry['sha256']}  {entry['path']}\n"
        for entry in entries["files"]
        if entry["path"] != "SHA256SUMS"
    )
    (bundle / "SHA256SUMS").write_text(sums)
    for entry in entries["files"]:
        if entry["path"] == "SHA256SUMS":
            path = bundle / "SHA256SUMS"
            entry.update(sha256=sha256_file(path), size=path.stat().st_size)
    (bundle / MANIFEST).write_text(json.dumps(entries))


def test_a_wrong_template_is_found_even_with_fitting_checksums(bundle: Path) -> None:
    path = bundle / "Modelfile"
    path.write_text(path.read_text().replace("<|assistant|>", "<|assistant|>\n"))
    rewrite_sums(bundle)
    assert checks(bundle) == {"template"}


def test_a_modelfile_that_names_another_model_is_found(bundle: Path) -> None:
    path = bundle / "Modelfile"
    path.write_text(path.read_text().replace(MODEL, "other.gguf"))
    rewrite_sums(bundle)
    assert checks(bundle) == {"template"}


def test_a_truncated_model_is_found_even_with_fitting_checksums(bundle: Path) -> None:
    path = bundle / MODEL
    detach(path)
    path.write_bytes(path.read_bytes()[:-100])
    rewrite_sums(bundle)
    assert checks(bundle) == {"gguf"}


@pytest.mark.parametrize(("text", "check"), [("{", "reports"), ("{}", "reports")])
def test_an_empty_or_broken_trust_report_is_found(bundle: Path, text: str, check: str) -> None:
    (bundle / "reports" / "trust.json").write_text(text)
    rewrite_sums(bundle)
    assert checks(bundle) == {check}


def test_broken_settings_are_found(bundle: Path) -> None:
    (bundle / "bot.json").write_text("{}")
    rewrite_sums(bundle)
    assert checks(bundle) == {"settings"}


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        verify_bundle(tmp_path / "none")


def test_an_empty_folder_names_everything_that_is_missing(tmp_path: Path) -> None:
    messages = [problem.message for problem in verify_bundle(tmp_path)]
    for name in ("Modelfile", "reports/trust.json", "bot.json"):
        assert any(name in message for message in messages)


def test_building_again_mends_it(bundle: Path, build: Callable[..., Path]) -> None:
    assert callable(build_bundle)
    (bundle / "Modelfile").unlink()
    assert verify_bundle(bundle) != []
    assert verify_bundle(build("again")) == []
