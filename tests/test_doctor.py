from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from supportbot_dagster import doctor
from supportbot_dagster.doctor import Finding, examine
from supportbot_dagster.product import sample_product_file
from supportbot_dagster.scaffold import write_product
from supportbot_dagster.settings import load_settings
from tests.conftest import change_product
from tests.synthesis.chat_server import chat_server


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPPORTBOT_ROOT", str(tmp_path / "not" / "yet"))
    for name in (
        "SUPPORTBOT_HOME",
        "SUPPORTBOT_PRODUCT",
        "SUPPORTBOT_BASE_DIR",
        "SUPPORTBOT_TEACHER_MODEL",
        "SUPPORTBOT_TEACHER_BASE_URL",
        "SUPPORTBOT_TEACHER_API_KEY",
        "HF_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)


def finding(needs: str, profile: str = "") -> Finding:
    (found,) = [
        item for item in examine() if needs in item.needs and item.profile.startswith(profile)
    ]
    return found


def test_every_lack_comes_with_a_fix_and_only_a_lack() -> None:
    findings = examine()
    assert {item.profile for item in findings} == {
        "embedded",
        "workstation",
        "product",
        "teacher",
    }
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


# The product file --------------------------------------------------------------------------------


def of_product(path: Path, profile: str) -> dict[str, Finding]:
    found = examine(load_settings(product_file=path))
    for item in found:
        assert bool(item.fix) != item.ok, item
    return {item.needs: item for item in found if item.profile == profile}


def copied_sample(folder: Path) -> Path:
    """What somebody has who copied the sample's product file."""
    path = folder / "product.yaml"
    shutil.copy(sample_product_file(), path)
    return path


def test_the_sample_itself_has_nothing_left_over() -> None:
    assert of_product(sample_product_file(), "left over") == {}
    assert of_product(sample_product_file(), "product")["a product file"].ok


def test_each_leftover_of_a_copied_sample_is_told_and_goes_with_its_mend(tmp_path: Path) -> None:
    path = copied_sample(tmp_path)
    found = {
        needs.removesuffix(" of your own"): item
        for needs, item in of_product(path, "left over").items()
    }
    assert found.keys() == {
        "name",
        "slug",
        *(f"facts.{key}_{kind}" for key, kind in (
            ("docs", "url"), ("pricing", "url"), ("status", "url"),
            ("support", "email"), ("security", "email"))),
        "docs.url",
        "docs.public_url",
        "tickets.source",
        "teacher.recordings",
        "refusals.families",
        "probes.file",
        "dataset.withheld",
    }  # fmt: skip
    assert "docs.tracklight.example/help/, the sample's" in found["docs.public_url"].state
    assert "never taught" in found["dataset.withheld"].state
    own = {
        "name": "Acme",
        "slug": "acme",
        "facts": {
            "docs_url": "https://docs.acme.com/",
            "pricing_url": "https://acme.com/pricing",
            "status_url": "https://status.acme.com",
            "support_email": "support@acme.com",
            "security_email": "security@acme.com",
        },
        "docs": {"url": "https://docs.acme.com/", "public_url": None},
        "tickets": {"source": "example.com.json"},
        "teacher": {"recordings": None},
        "refusals": {"families": None},
        "probes": {"file": None},
        "dataset": {"withheld": 0.1},
    }
    change_product(path, own)
    assert of_product(path, "left over") == {}
    assert not of_product(path, "product")["the ticket export"].ok
    (tmp_path / "example.com.json").write_text("{}")
    assert of_product(path, "product")["the ticket export"].ok


def test_files_copied_from_the_sample_are_told(tmp_path: Path) -> None:
    path = write_product(tmp_path / "acme", "Acme", "2026-01")[0]
    sample = sample_product_file().parent
    shutil.copy(sample / "refusals.yaml", path.parent / "refusals.yaml")
    probes = (sample / "probes.yaml").read_text().split("  - id:")
    (path.parent / "probes.yaml").write_text("  - id:".join(probes[:3]))
    shutil.copytree(sample / "teacher", path.parent / "teacher")
    change_product(path, {"teacher": {"recordings": "teacher"}})
    found = of_product(path, "left over")
    assert "families of the sample in" in found["refusals.families of your own"].state
    assert found["probes.file of your own"].state.startswith("2 probes of the sample in")
    assert "copy of the sample's" in found["teacher.recordings of your own"].state


def test_what_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    path = write_product(tmp_path / "acme", "Acme", "2026-01")[0]
    (path.parent / "refusals.yaml").write_text("families:\n  - {id: x}\n")
    lacking = of_product(path, "product")["the files that it names"]
    assert "the key category is missing" in lacking.state
    path.write_text("name: [")
    assert "is not YAML" in of_product(path, "product")["a product file"].state


# The teacher -------------------------------------------------------------------------------------


def test_without_a_teacher_model_rules_are_told_of(tmp_path: Path) -> None:
    assert of_product(sample_product_file(), "teacher")["a teacher model"].ok
    path = write_product(tmp_path / "acme", "Acme", "2026-01")[0]
    lacking = of_product(path, "teacher")["a teacher model"]
    assert "SUPPORTBOT_TEACHER_MODEL" in lacking.fix


def test_a_teacher_model_is_looked_at_without_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_product(tmp_path / "acme", "Acme", "2026-01")[0]
    monkeypatch.setenv("SUPPORTBOT_TEACHER_MODEL", "m1")
    monkeypatch.setenv("SUPPORTBOT_TEACHER_API_KEY", "secret-value")
    with chat_server() as server:
        monkeypatch.setenv("SUPPORTBOT_TEACHER_BASE_URL", server.url)
        found = of_product(path, "teacher")
        assert server.requests == [], "nothing is paid for"
    assert found["a teacher model"].state == "m1"
    assert found["its key"].state == "set"
    assert found["its address"].ok
    assert not found["its price"].ok
    assert not any("secret-value" in item.state + item.fix for item in found.values())

    lacking = of_product(path, "teacher")["its address"]
    assert "no connection to port" in lacking.state, "the server has ended"
    change_product(path, {"teacher": {"input_price": 0.25, "output_price": 2}})
    assert of_product(path, "teacher")["its price"].state.startswith("0.25 and 2 for a million")
    monkeypatch.setenv("SUPPORTBOT_TEACHER_BASE_URL", "localhost:11434")
    assert "none of the web" in of_product(path, "teacher")["its address"].state


def test_openai_s_own_endpoint_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_product(tmp_path / "acme", "Acme", "2026-01")[0]
    monkeypatch.setenv("SUPPORTBOT_TEACHER_MODEL", "m1")
    monkeypatch.setattr(doctor, "_unreachable", lambda url: "")
    assert not of_product(path, "teacher")["its key"].ok
    monkeypatch.setenv("SUPPORTBOT_TEACHER_BASE_URL", "http://127.0.0.1:9/v1")
    assert of_product(path, "teacher")["its key"].ok, "a server of one's own"
