import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.resources.trainer import Trainer, load_place
from tests.resources.kubernetes_server import kubernetes

ROWS = [
    {"instruction": "Customer question: how do i export", "output": "Open the list, then Export."},
    {"instruction": "Customer question: where is the url", "output": "Settings > General."},
]


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    from supportbot_dagster.training.base import embedded_base_dir
    from supportbot_dagster.training.catalogue import find_base

    base = find_base("pocket")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    settings = {"epochs": 1.0, "batch_size": 2, "gradient_accumulation": 1, "max_length": 128}
    spec = tmp_path / "spec.json"
    (tmp_path / "work").mkdir()
    spec.write_text(
        json.dumps(
            {
                "base_dir": str(embedded_base_dir()),
                "train_file": str(rows),
                "validation_file": str(rows),
                "target_modules": base.target_modules,
                "settings": settings,
                "out_dir": str(tmp_path / "adapter"),
                "work_dir": str(tmp_path / "work"),
            }
        )
    )
    return spec


def train(trainer: Trainer, spec_file: Path) -> Mapping[str, Any]:
    """Start a training from an asset, as the graph does."""
    found: list[Mapping[str, Any]] = []

    @dg.asset
    def adapter(context: dg.AssetExecutionContext, trainer: Trainer) -> dg.Output[int]:
        found.append(trainer.run(context, spec_file))
        return dg.Output(0)

    dg.materialize([adapter], resources={"trainer": trainer})
    return found[0]


@pytest.mark.slow
def test_a_pod_trains_and_reports_and_is_removed(
    spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPPORTBOT_TEACHER_API_KEY", "sk-secret")
    here = {**os.environ, "OMP_NUM_THREADS": "1"}
    with kubernetes(tmp_path, here) as (cluster, config):
        place = tmp_path / "trainer.yaml"
        place.write_text(
            f"""
kubernetes:
  image: example/train:1
  namespace: ml
  kubeconfig: {config}
  poll_seconds: 0.1
  metadata: {{labels: {{team: support}}}}
  spec:
    nodeSelector: {{accelerator: l4}}
    containers:
      - name: train
        resources: {{limits: {{nvidia.com/gpu: 1}}}}
"""
        )
        summary = train(Trainer(file=str(place)), spec_file)
        (container,) = cluster.created
        assert summary["steps"] == 1
        assert summary["rows"] == 2
        assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
        assert container.pod["spec"]["nodeSelector"] == {"accelerator": "l4"}
        assert container.spec["resources"] == {"limits": {"nvidia.com/gpu": "1"}}
        assert container.pod["metadata"]["labels"]["team"] == "support"
        assert cluster.deleted == [container.pod["metadata"]["name"]]
        assert "sk-secret" not in json.dumps(container.pod)
        assert "PATH" not in container.told


def test_a_pod_that_fails_fails_the_asset(spec_file: Path, tmp_path: Path) -> None:
    spec_file.write_text("{}")
    with kubernetes(tmp_path, dict(os.environ)) as (cluster, config):
        place = tmp_path / "trainer.yaml"
        place.write_text(
            f"kubernetes: {{image: a/b, namespace: ml, kubeconfig: {config}, poll_seconds: 0.1}}"
        )
        with pytest.raises(Exception, match="exited with errors"):
            train(Trainer(file=str(place)), spec_file)
        assert len(cluster.deleted) == 1


@pytest.mark.slow
def test_several_processes_share_a_training(spec_file: Path, tmp_path: Path) -> None:
    place = tmp_path / "trainer.yaml"
    place.write_text("processes: 2\n")
    summary = train(Trainer(file=str(place)), spec_file)
    assert summary["steps"] == 1
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


def test_without_a_file_it_trains_here() -> None:
    place = load_place(None)
    assert (place.processes, place.kubernetes) == (1, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("processes: 0", "processes: Input should be greater"),
        ("kubernetes: {gpu: 1}", r"kubernetes\.gpu: Extra inputs .* Known keys: processes"),
        ("processes: [", "cannot be read"),
        ("processes: 1\nprocesses: 2", "cannot be read"),
    ],
)
def test_a_file_that_does_not_fit_is_told(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "trainer.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=problem):
        load_place(path)
    with pytest.raises(UserError, match=r"cannot be read .*unset the variable"):
        load_place(tmp_path / "none.yaml")
