"""The MLflow run of a training and its entry in the model registry.

What lives here: logging a finished training. What does not: where the server is
(:mod:`supportbot_dagster.resources.experiment_tracker`) and the training itself.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from supportbot_dagster.hashing import sha256_file
from supportbot_dagster.training.spec import TrainingResult, TrainingSpec

ARTIFACT = "adapter"
"""Folder of the run that holds the adapter."""


@dataclass(frozen=True)
class Tracked:
    """Where a training was logged.

    Args:
        run_id: MLflow run.
        registered_model: name in the registry; empty for none.
        model_version: the version there; empty for none.
    """

    run_id: str = ""
    registered_model: str = ""
    model_version: str = ""


def track(spec: TrainingSpec, result: TrainingResult) -> Tracked:
    """Log parameters, hashes of the data, curves and the adapter; register the adapter.

    Args:
        spec: says where to, and what the adapter is called in the registry.
        result: what is logged; the adapter is taken from ``spec.out_dir``.
    """
    if not spec.mlflow_uri:
        return Tracked()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow
    from mlflow.entities import Param

    mlflow.set_tracking_uri(spec.mlflow_uri)
    database = spec.mlflow_uri.removeprefix("sqlite:///")
    if database != spec.mlflow_uri and mlflow.get_experiment_by_name(spec.experiment) is None:
        # Left to itself MLflow keeps artifacts in the current folder.
        beside = Path(database).resolve().parent / "mlruns"
        mlflow.create_experiment(spec.experiment, artifact_location=beside.as_uri())
    mlflow.set_experiment(spec.experiment)
    with mlflow.start_run(run_name=spec.run_name, tags=dict(spec.tags)) as run:
        client = mlflow.MlflowClient()
        params = asdict(spec.settings) | {
            "rows": result.rows,
            "chosen_step": result.chosen_step,
            "processes": result.processes,
            "train_sha256": sha256_file(Path(spec.train_file)),
            "validation_sha256": sha256_file(Path(spec.validation_file)),
        }
        if spec.followup_file:
            params["followup_sha256"] = sha256_file(Path(spec.followup_file))
        client.log_batch(
            run.info.run_id,
            metrics=_metrics(result, int(run.info.start_time)),
            params=[Param(name, str(value)) for name, value in params.items()],
        )
        mlflow.log_artifacts(spec.out_dir, artifact_path=ARTIFACT)
        run_id = str(run.info.run_id)
    if not spec.registered_model:
        return Tracked(run_id)
    return Tracked(run_id, spec.registered_model, _register(client, spec, run_id))


def _metrics(result: TrainingResult, now: int) -> list[Any]:
    from mlflow.entities import Metric

    metrics = [
        Metric(name, value, now, int(entry["step"]))
        for entry in result.curve
        for name, value in entry.items()
        if name != "step"
    ]
    for one in result.candidates:
        if one.seen:
            metrics.append(Metric("wrong_answered", float(one.wrong_answered or 0), now, one.step))
            metrics.append(Metric("wrong_refused", float(one.wrong_refused or 0), now, one.step))
    if result.validation_loss is not None:
        metrics.append(Metric("validation_loss", result.validation_loss, now, result.chosen_step))
    if result.followup is not None:
        metrics += [
            Metric(f"followup_{metric.key}", metric.value, now, metric.step)
            for metric in _metrics(result.followup, now)
        ]
    return metrics


def _register(client: Any, spec: TrainingSpec, run_id: str) -> str:
    """A new version of the registered model, with the alias moved to it."""
    from mlflow.exceptions import MlflowException, RestException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

    try:
        client.create_registered_model(spec.registered_model)
    except (MlflowException, RestException) as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{ARTIFACT}"
    version = client.create_model_version(
        spec.registered_model, source, run_id=run_id, tags=_tags(spec.tags)
    )
    if spec.model_alias:
        client.set_registered_model_alias(
            spec.registered_model, spec.model_alias, str(version.version)
        )
    return str(version.version)


def _tags(tags: Sequence[tuple[str, str]]) -> dict[str, str]:
    return dict(tags)
