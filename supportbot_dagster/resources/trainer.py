"""Where training runs: a process here, several, or a pod of a Kubernetes cluster.

What lives here: starting the training command through Dagster Pipes, which brings its progress and
its result back. What does not: the command (``python -m supportbot_dagster.training``) and the
settings of a training.

Wherever it runs, the command finds its rows and the base, and writes checkpoints and adapter, at
the paths of this process. On one machine that is so; a pod needs the folder ``SUPPORTBOT_HOME``
(and the artifact root, where that is a folder) on a volume that both mount at the same path.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from supportbot_dagster.errors import UserError
from supportbot_dagster.strict_yaml import load_yaml
from supportbot_dagster.training.launch import training_command, training_environment

FILE_VARIABLE = "SUPPORTBOT_TRAINER"
"""Names the YAML file that says where training runs; without it, it runs in one process here."""
_TOLD_TO_PODS = ("TOKENIZERS_", "MALLOC_", "HF_HUB_DISABLE", "MLFLOW_DISABLE", "DO_NOT_TRACK")


class Pod(BaseModel):
    """A pod that trains.

    Args:
        image: container image with this package and its ``train`` extra; may stand in ``spec``.
        namespace: of the pod.
        spec: Kubernetes ``PodSpec``: volumes, ``nodeSelector``, tolerations, and in the first
            container ``resources`` with the GPUs. Secrets come through its ``env``, by reference.
        metadata: Kubernetes ``ObjectMeta``: labels, annotations.
        kubeconfig: file with the cluster's address; by default the cluster that this runs in, else
            the user's own.
        poll_seconds: between looks at the pod.
        keep: leave the pod behind when it has finished, to look at it.
    """

    model_config = ConfigDict(extra="forbid")

    image: str | None = None
    namespace: str | None = None
    spec: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    kubeconfig: str | None = None
    poll_seconds: float = Field(default=10.0, gt=0)
    keep: bool = False


class Place(BaseModel):
    """The file that :data:`FILE_VARIABLE` names.

    Args:
        processes: of one training; they share the rows of each update. More than one are started
            by ``torchrun``.
        kubernetes: the pod; None trains on this machine.
    """

    model_config = ConfigDict(extra="forbid")

    processes: int = Field(default=1, ge=1)
    kubernetes: Pod | None = None


def load_place(path: Path | None) -> Place:
    """Read where training runs.

    Raises:
        UserError: if the file is missing or does not fit.
    """
    if path is None:
        return Place()
    try:
        return Place.model_validate(load_yaml(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(
            f"{path} (from {FILE_VARIABLE}) cannot be read ({first}). "
            "Name a YAML file that says where training runs, or unset the variable."
        ) from None
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"]) or "the whole file"
        raise UserError(
            f"{path}: {where}: {wrong['msg']}. Known keys: processes, kubernetes with "
            f"{', '.join(Pod.model_fields)}."
        ) from None


class Trainer(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Starts a training and waits for it.

    Args:
        file: see :data:`FILE_VARIABLE`; empty for one process here. It is read when a training
            starts.
    """

    file: str = ""

    def run(self, context: dg.AssetExecutionContext, spec_file: Path) -> Mapping[str, Any]:
        """Train by a specification; returns the summary that the training reports.

        Raises:
            UserError: if the place cannot be read, or a pod is wanted and dagster-k8s is missing.
        """
        place = load_place(Path(self.file) if self.file else None)
        if place.kubernetes is None:
            done = dg.PipesSubprocessClient().run(
                context=context,
                command=training_command(spec_file, place.processes),
                env=training_environment(),
            )
        else:
            command = training_command(spec_file, place.processes, python="python")
            done = _run_in_pod(context, place.kubernetes, command)
        messages = done.get_custom_messages()
        if not messages:
            raise UserError(
                "The training ended without a result. Its own log says why: see the compute logs "
                "of the run, or of the pod."
            )
        summary: Mapping[str, Any] = messages[-1]
        return summary


def _run_in_pod(
    context: dg.AssetExecutionContext, pod: Pod, command: list[str]
) -> dg.PipesClientCompletedInvocation:
    try:
        from dagster_k8s import PipesK8sClient
    except ImportError:
        raise UserError(
            "Training in a pod needs dagster-k8s. Install supportbot_dagster[cluster]."
        ) from None
    client = PipesK8sClient(kubeconfig_file=pod.kubeconfig, poll_interval=pod.poll_seconds)
    return client.run(
        context=context,
        command=command,
        image=pod.image,
        namespace=pod.namespace,
        env=_pod_environment(),
        base_pod_spec=pod.spec,
        base_pod_meta=pod.metadata,
        delete_pod_on_completion=not pod.keep,
    )


def _pod_environment() -> dict[str, str]:
    """What a training process is told here and a pod is told too; nothing that is this machine's.

    The environment of this process stays here: it holds secrets, and a pod's specification can be
    read by more people than its secrets can.
    """
    return {
        name: value
        for name, value in training_environment().items()
        if name.startswith(_TOLD_TO_PODS)
    }
