"""What stands in the store, for people: the month's figures and the bundle to ask.

What lives here: reading artifacts for a table. What does not: measuring.
"""

from dataclasses import dataclass
from pathlib import Path

from supportbot_dagster.artifacts import Artifact
from supportbot_dagster.bundle.release import read_pointer
from supportbot_dagster.errors import UserError
from supportbot_dagster.gate import Gate, gates_of
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.settings import Settings

RELEASE = "release"
"""The asset after which a month has figures."""


@dataclass(frozen=True)
class Line:
    """One line of the table at the end of a retrain; all texts."""

    name: str
    measured: str
    limit: str
    verdict: str
    how: str


def figures(settings: Settings, month: str) -> list[Line]:
    """The month's gates and what surrounds them, from the stored artifacts."""
    store = _store(settings)
    trust = store.load("trust_report", month).read_json("trust.json")
    probes = store.load("probe_report", month).read_json("probes.json")
    export = store.load("gguf", month).read_json("export.json")
    release = store.load("release", month).read_json("release.json")
    lines = [_gate(gate) for gate in gates_of(trust)]
    lines += [_gate(gate) for gate in gates_of(probes)]
    lines += [_gate(gate) for gate in gates_of(export)]
    judge = trust["judge"]
    lines.append(
        Line(
            "the judge itself",
            f"{judge['references_right'] + judge['strangers_wrong']}"
            f" of {judge['references'] + judge['strangers']}",
            "",
            "",
            "reference answers called right, answers of other sections called wrong",
        )
    )
    reasons = "; ".join(release["reasons"])
    decision = "promoted" if release["promoted"] else "held back"
    lines.append(Line("release", decision, "", "", reasons))
    return lines


def _gate(gate: Gate) -> Line:
    return Line(
        gate.name,
        gate.text(gate.measured),
        gate.text(gate.limit),
        "passed" if gate.passed else "FAILED",
        gate.how,
    )


@dataclass(frozen=True)
class Bundle:
    """A bundle in the store; ``released`` if it is the one that passed its gates last."""

    path: Path
    month: str
    released: bool


def default_bundle(settings: Settings) -> Bundle:
    """The released bundle, else the latest one in the store.

    Raises:
        UserError: if there is none yet.
    """
    store = _store(settings)
    pointer = read_pointer(Path(store.scratch))
    if pointer is not None:
        month = pointer["month"]
        return Bundle(_bundle(store, month).path, month, released=True)
    months = store.months("ollama_bundle")
    if not months:
        raise UserError(
            f"There is no bundle in {settings.root} yet. Run supportbot retrain first, or name one "
            "with --bundle."
        )
    return Bundle(_bundle(store, months[-1]).path, months[-1], released=False)


def _bundle(store: ArtifactStore, month: str) -> Artifact:
    return store.load("ollama_bundle", month)


def _store(settings: Settings) -> ArtifactStore:
    return ArtifactStore(root=settings.root, scratch=str(settings.home))
