from __future__ import annotations

from pathlib import Path

import pytest

from supportbot_dagster import doctor
from supportbot_dagster.doctor import Finding, examine


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPPORTBOT_ROOT", str(tmp_path / "not" / "yet"))
    for name in ("SUPPORTBOT_HOME", "SUPPORTBOT_BASE_DIR", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def finding(needs: str, profile: str = "") -> Finding:
    (found,) = [
        item for item in examine() if needs in item.needs and item.profile.startswith(profile)
    ]
    return found


def test_every_lack_comes_with_a_fix_and_only_a_lack() -> None:
    findings = examine()
    assert {item.profile for item in findings} == {"embedded", "workstation"}
    for item in findings:
        assert bool(item.fix) != item.ok, item
        assert item.state


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert finding("package torch").ok
    find_spec = doctor.importlib.util.find_spec
    monkeypatch.setattr(
        doctor.importlib.util,
        "find_spec",
        lambda name: None if name == "torch" else find_spec(name),
    )
    lacking = finding("package torch")
    assert not lacking.ok
    assert lacking.fix == "pip install 'supportbot_dagster[train]'"
    assert finding("package trl").ok


def test_the_disk_is_that_of_the_artifact_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert finding("free disk", "embedded").state.endswith(f"free at {tmp_path}")
    monkeypatch.setitem(doctor.MIN_FREE_GIB, "embedded", 1 << 30)
    lacking = finding("free disk", "embedded")
    assert not lacking.ok
    assert "SUPPORTBOT_ROOT" in lacking.fix


def test_a_bucket_is_judged_by_the_local_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUPPORTBOT_ROOT", "s3://bucket/bots")
    monkeypatch.setenv("SUPPORTBOT_HOME", str(tmp_path))
    assert finding("free disk", "embedded").state.endswith(f"free at {tmp_path}")


def test_tools_are_looked_for_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not finding("Ollama").ok
    assert not finding("NVIDIA").ok
    for name in ("ollama", "nvidia-smi"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert finding("Ollama").state == str(tmp_path / "ollama")
    assert finding("NVIDIA").ok


def test_a_way_to_the_base_is_a_token_or_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not finding("a way to the base").ok
    monkeypatch.setenv("SUPPORTBOT_BASE_DIR", str(tmp_path / "none"))
    assert not finding("a way to the base").ok
    monkeypatch.setenv("SUPPORTBOT_BASE_DIR", str(tmp_path))
    assert finding("a way to the base").ok
    monkeypatch.delenv("SUPPORTBOT_BASE_DIR")
    monkeypatch.setenv("HF_TOKEN", "secret-value")
    found = finding("a way to the base")
    assert found.ok
    assert "secret-value" not in found.state, "a secret is never shown"


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Version(tuple[int, ...]):
        pass

    assert finding("Python").ok
    monkeypatch.setattr(doctor.sys, "version_info", Version((3, 10, 1)))
    assert not finding("Python").ok
