"""The teacher as a Dagster resource.

What lives here: which teacher phrases the pairs, and what the environment says of a teacher model.
What does not: the teachers (:mod:`supportbot_dagster.synthesis`).
"""

import os
from pathlib import Path

import dagster as dg

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.product import SAMPLE, Product
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.synthesis.model_teacher import Budget, Endpoint, ModelTeacher, ReplyStore
from supportbot_dagster.synthesis.prompt import Prompt
from supportbot_dagster.synthesis.teacher import (
    RecordedTeacher,
    RuleTeacher,
    Teacher,
    load_recordings,
)

OPENAI_URL = "https://api.openai.com/v1"
REPLIES = "teacher_replies"
"""Folder of the artifact root in which replies that were paid for stand."""


def teacher_model_of_environment() -> tuple[str, str]:
    """Name and address of the teacher model; the name is empty where there is none.

    ``SUPPORTBOT_TEACHER_MODEL`` and ``SUPPORTBOT_TEACHER_BASE_URL`` (default OpenAI's).
    """
    model = os.environ.get("SUPPORTBOT_TEACHER_MODEL", "").strip()
    url = os.environ.get("SUPPORTBOT_TEACHER_BASE_URL", "").strip() or OPENAI_URL
    return model, url.rstrip("/")


def teacher_settings(product: Product) -> list[str]:
    """What decides a teacher model's replies; empty where there is none."""
    model, url = teacher_model_of_environment()
    if not model:
        return []
    return [model, url, Prompt(product.name, product.teacher.questions).version]


class TeacherModel(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Recorded answers with another teacher behind them, or the latter alone.

    The one behind is a model at an OpenAI-compatible endpoint if ``model`` is set, else the
    rule-based teacher. The model's key is read from ``SUPPORTBOT_TEACHER_API_KEY`` when it is
    needed, and kept nowhere.

    Args:
        recordings: folder of recordings, ``sample``, or empty for none.
        model: name of the teacher model; empty for none.
        base_url: address of its API.
    """

    recordings: str = ""
    model: str = ""
    base_url: str = OPENAI_URL

    def teacher(self, product: Product, store: ArtifactStore) -> Teacher:
        """The teacher of a product; recordings are read now.

        Args:
            product: its name, and how a model is asked.
            store: where replies are kept.

        Raises:
            UserError: if OpenAI's own endpoint is meant and no key is set.
        """
        behind: Teacher = self._asked(product, store) if self.model else RuleTeacher()
        if not self.recordings:
            return behind
        if self.recordings == SAMPLE:
            folder = Path(__file__).parent.parent / "sample" / "teacher"
        else:
            folder = Path(self.recordings)
        recordings = load_recordings(folder)
        version = sha256_json(
            {key: reply.model_dump(mode="json") for key, reply in recordings.items()}
        )[:16]
        return RecordedTeacher(recordings, behind, version)

    def _asked(self, product: Product, store: ArtifactStore) -> ModelTeacher:
        settings = product.teacher
        key = os.environ.get("SUPPORTBOT_TEACHER_API_KEY", "").strip()
        if not key and self.base_url == OPENAI_URL:
            raise UserError(
                f"the teacher model {self.model!r} needs a key. Set SUPPORTBOT_TEACHER_API_KEY, or "
                "unset SUPPORTBOT_TEACHER_MODEL for the rule-based teacher."
            )
        return ModelTeacher(
            Endpoint(
                base_url=self.base_url,
                model=self.model,
                api_key=key or "none",  # servers on one's own machine ask for none
                temperature=settings.temperature,
                concurrency=settings.concurrency,
                timeout_seconds=settings.timeout_seconds,
            ),
            Prompt(product.name, settings.questions),
            ReplyStore(store.upath / REPLIES),
            Budget(
                settings.budget_tokens,
                settings.budget_cost,
                settings.input_price,
                settings.output_price,
            ),
        )
