"""The teacher as a Dagster resource.

What lives here: which teacher phrases the pairs. What does not: the teachers
(:mod:`supportbot_dagster.synthesis.teacher`).
"""

from pathlib import Path

import dagster as dg

from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.product import SAMPLE
from supportbot_dagster.synthesis.teacher import (
    RecordedTeacher,
    RuleTeacher,
    Teacher,
    load_recordings,
)


class TeacherModel(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Recorded answers with the rule-based teacher behind them, or the latter alone.

    Args:
        recordings: folder of recordings, ``sample``, or empty for none.
    """

    recordings: str = ""

    def teacher(self) -> Teacher:
        """The teacher; recordings are read now."""
        rules = RuleTeacher()
        if not self.recordings:
            return rules
        if self.recordings == SAMPLE:
            folder = Path(__file__).parent.parent / "sample" / "teacher"
        else:
            folder = Path(self.recordings)
        recordings = load_recordings(folder)
        version = sha256_json(
            {key: reply.model_dump(mode="json") for key, reply in recordings.items()}
        )[:16]
        return RecordedTeacher(recordings, rules, version)
