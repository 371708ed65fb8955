from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from supportbot_dagster.definitions import build_definitions
from supportbot_dagster.errors import UserError
from supportbot_dagster.product import Product, load_product, sample_product_file
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.resources.teacher_model import (
    OPENAI_URL,
    REPLIES,
    TeacherModel,
    teacher_model_of_environment,
)
from supportbot_dagster.settings import load_settings
from supportbot_dagster.synthesis.model_teacher import ModelTeacher
from supportbot_dagster.synthesis.teacher import RecordedTeacher, RuleTeacher
from tests.synthesis.chat_server import ChatServer, chat_server
from tests.synthesis.test_model_teacher import sections

KEY = "sk-test-91b7"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as state:
        yield state


@pytest.fixture
def product() -> Product:
    return load_product(sample_product_file())


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(root=str(tmp_path / "root"), scratch=str(tmp_path / "scratch"))


def test_without_a_model_rules_phrase(product: Product, store: ArtifactStore) -> None:
    assert isinstance(TeacherModel().teacher(product, store), RuleTeacher)
    recorded = TeacherModel(recordings="sample").teacher(product, store)
    assert isinstance(recorded, RecordedTeacher)
    assert recorded.version.endswith("+rules-1")


def test_a_model_of_the_environment_is_asked_and_its_replies_are_kept_in_the_root(
    server: ChatServer,
    product: Product,
    store: ArtifactStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SUPPORTBOT_TEACHER_MODEL", "m1")
    monkeypatch.setenv("SUPPORTBOT_TEACHER_BASE_URL", f"{server.url}/")
    monkeypatch.setenv("SUPPORTBOT_TEACHER_API_KEY", KEY)
    model, url = teacher_model_of_environment()
    resource = TeacherModel(model=model, base_url=url)
    teacher = resource.teacher(product, store)
    assert isinstance(teacher, ModelTeacher)
    assert len(list(teacher.phrase(sections(3)))) == 3
    assert server.keys == {f"Bearer {KEY}"}
    kept = list((tmp_path / "root" / REPLIES).rglob("*.json"))
    assert len(kept) == 3
    assert KEY not in repr(resource)


def test_a_server_of_ones_own_needs_no_key_and_openai_does(
    server: ChatServer,
    product: Product,
    store: ArtifactStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SUPPORTBOT_TEACHER_API_KEY", raising=False)
    own = TeacherModel(model="m1", base_url=server.url).teacher(product, store)
    assert len(list(own.phrase(sections(1)))) == 1
    with pytest.raises(UserError, match=r"needs a key\. Set SUPPORTBOT_TEACHER_API_KEY"):
        TeacherModel(model="m1", base_url=OPENAI_URL).teacher(product, store)


def test_another_model_makes_the_pairs_stale(
    product: Product, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def version() -> str:
        definitions = build_definitions(load_settings(root=str(tmp_path)), product)
        [asset] = [
            one
            for one in definitions.assets or ()
            if "synthesized_pairs" in str(one.key)  # type: ignore[union-attr]
        ]
        return str(asset.code_versions_by_key[asset.key])  # type: ignore[union-attr]

    monkeypatch.delenv("SUPPORTBOT_TEACHER_MODEL", raising=False)
    seen = [version()]
    for name, value in (
        ("SUPPORTBOT_TEACHER_MODEL", "m1"),
        ("SUPPORTBOT_TEACHER_MODEL", "m2"),
        ("SUPPORTBOT_TEACHER_BASE_URL", "http://127.0.0.1:1/v1"),
    ):
        monkeypatch.setenv(name, value)
        seen.append(version())
    assert len(set(seen)) == 4
