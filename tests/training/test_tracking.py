"""The MLflow run and the registry entry, on a real SQLite store."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from supportbot_dagster.training.lora import train_adapter
from tests.training.lora_runs import SETTINGS, adapter_bytes, make_spec

pytestmark = pytest.mark.slow


def test_runs_are_logged_and_adapters_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "MLFLOW_DISABLE_TELEMETRY", "true")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    spec = make_spec(
        tmp_path / "run",
        settings=replace(SETTINGS, epochs=1.0),
        mlflow_uri=uri,
        experiment="bots",
        run_name="tracklight 2026-11",
        tags=(("dataset", "abc123"), ("month", "2026-11")),
        registered_model="tracklight",
    )
    result = train_adapter(spec, lambda step, steps, figures: None)
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    run = client.get_run(result.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["dataset"] == "abc123"
    assert run.data.params["lora_rank"] == "4"
    digest = hashlib.sha256(Path(spec.train_file).read_bytes()).hexdigest()
    assert run.data.params["train_sha256"] == digest
    curve = client.get_metric_history(result.mlflow_run_id, "loss")
    assert [(one.step, one.value) for one in sorted(curve, key=lambda one: one.step)] == [
        (int(entry["step"]), entry["loss"]) for entry in result.curve if "loss" in entry
    ]
    wrong = client.get_metric_history(result.mlflow_run_id, "wrong_answered")
    assert len(wrong) == len(result.candidates)
    assert (result.registered_model, result.model_version) == ("tracklight", "1")
    version = client.get_model_version_by_alias("tracklight", "candidate")
    assert (version.version, version.run_id) in (("1", run.info.run_id), (1, run.info.run_id))
    assert version.tags["dataset"] == "abc123"
    fetched = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="adapter", tracking_uri=uri
    )
    assert (Path(fetched) / "adapter_model.safetensors").read_bytes() == adapter_bytes(spec)
    assert str(version.source).endswith("/adapter")

    again = train_adapter(spec, lambda step, steps, figures: None)
    assert again.model_version == "2"
    moved = client.get_model_version_by_alias("tracklight", "candidate")
    assert int(moved.version) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"run", "mlflow.db", "mlruns"}
