from __future__ import annotations

from pathlib import Path

import pytest

from supportbot_dagster.product import sample_product_file
from supportbot_dagster.settings import load_settings

VARIABLES = (
    "SUPPORTBOT_ROOT",
    "SUPPORTBOT_HOME",
    "SUPPORTBOT_PRODUCT",
    "DAGSTER_HOME",
    "MLFLOW_TRACKING_URI",
)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_by_default_all_stands_in_the_working_folder(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.root == str(tmp_path / ".supportbot")
    assert settings.home == tmp_path / ".supportbot"
    assert settings.product_file == sample_product_file()
    assert settings.dagster_home == tmp_path / ".supportbot" / "dagster"
    assert settings.mlflow_uri == f"sqlite:///{tmp_path / '.supportbot' / 'mlflow.db'}"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUPPORTBOT_ROOT", "data")
    monkeypatch.setenv("SUPPORTBOT_PRODUCT", "mine.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "d"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    settings = load_settings()
    assert settings.root == str(tmp_path / "data"), "relative becomes absolute"
    assert settings.home == tmp_path / "data"
    assert settings.product_file == tmp_path / "mine.yaml"
    assert settings.dagster_home == tmp_path / "d"
    assert settings.mlflow_uri == "http://mlflow:5000"


def test_arguments_come_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUPPORTBOT_ROOT", "data")
    monkeypatch.setenv("SUPPORTBOT_PRODUCT", "mine.yaml")
    settings = load_settings(root="other", product_file=Path("yours.yaml"))
    assert settings.root == str(tmp_path / "other")
    assert settings.product_file == tmp_path / "yours.yaml"


def test_a_bucket_keeps_its_url_and_the_home_stays_local(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = load_settings(root="s3://bucket/bots")
    assert settings.root == "s3://bucket/bots"
    assert settings.home == tmp_path / ".supportbot"
    monkeypatch.setenv("SUPPORTBOT_HOME", str(tmp_path / "scratch"))
    assert load_settings(root="s3://bucket/bots").home == tmp_path / "scratch"
