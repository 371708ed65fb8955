"""Where this installation keeps its data.

What lives here: the few machine-level settings, each an environment variable with a default. What
does not: anything about the product (:mod:`supportbot_dagster.product`) and secrets, which each
resource reads from the environment itself.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from supportbot_dagster.product import sample_product_file


@dataclass(frozen=True)
class Settings:
    """Machine-level settings.

    Args:
        root: artifact root, a local folder or an ``s3://`` URL (``SUPPORTBOT_ROOT``; default
            ``.supportbot`` in the folder that the process was started in).
        product_file: the product file (``SUPPORTBOT_PRODUCT``; default the embedded sample's).
        home: local folder for Dagster's storage, MLflow's database, caches of runs and locks
            (``SUPPORTBOT_HOME``; default the root when that is local, else ``.supportbot``).
    """

    root: str
    product_file: Path
    home: Path

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder (``DAGSTER_HOME`` overrides)."""
        return Path(os.environ.get("DAGSTER_HOME") or self.home / "dagster").resolve()

    @property
    def verdicts(self) -> Path:
        """Where the verdicts of the hand review are kept."""
        return self.home / "review.sqlite"

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking URI (``MLFLOW_TRACKING_URI`` overrides; default SQLite)."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.home / 'mlflow.db'}"


def load_settings(*, root: str | None = None, product_file: Path | None = None) -> Settings:
    """Settings from the arguments, then the environment, then the defaults."""
    chosen = root or os.environ.get("SUPPORTBOT_ROOT") or str(Path.cwd() / ".supportbot")
    if "://" not in chosen:
        chosen = str(Path(chosen).resolve())
    home = os.environ.get("SUPPORTBOT_HOME") or (
        str(Path.cwd() / ".supportbot") if "://" in chosen else chosen
    )
    product = product_file or Path(os.environ.get("SUPPORTBOT_PRODUCT") or sample_product_file())
    return Settings(root=chosen, product_file=product.resolve(), home=Path(home).resolve())
