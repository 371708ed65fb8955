"""MLflow as a Dagster resource.

What lives here: where runs are tracked and how a run is linked. What does not: logging, which the
training process does itself (:mod:`supportbot_dagster.training.tracking`).
"""

import dagster as dg


class ExperimentTracker(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The tracking server or database.

    Args:
        uri: MLflow tracking URI, for example ``sqlite:////data/mlflow.db`` or ``https://...``.
        experiment: experiment that the runs belong to.
    """

    uri: str
    experiment: str

    def link(self, run_id: str) -> str:
        """What a person follows to see a run: a URL of a server, else the command that shows it."""
        if self.uri.startswith("http"):
            return f"{self.uri.rstrip('/')}/#/runs/{run_id}"
        return f"mlflow ui --backend-store-uri {self.uri}  (run {run_id})"
