"""Whether a run's checkpoints lie on a line: shares of principal components beside what walks of such steps give."""

from spectra_cli.studies.rank1.findings import (
    FEWEST,
    WHOLE,
    Beside,
    GroupFindings,
    Halves,
    Rank1,
    SequenceFindings,
    StepParts,
    Verdict,
)
from spectra_cli.studies.rank1.study import DRAWS, Group, study_group

__all__ = [
    "DRAWS", "FEWEST", "WHOLE", "Beside", "Group", "GroupFindings", "Halves", "Rank1", "SequenceFindings", "StepParts",
    "Verdict", "study_group",
]  # fmt: skip
