"""The tasks a query may have: what is predicted for an entity, whoever predicts it.

Their names and the columns that say a prediction are here. Which item a task is served as is in `query.py`, which gates
it has is in `gates.py`.
"""

from __future__ import annotations

from typing import Literal

Task = Literal["ranking", "regression", "binary_classification", "multiclass_classification"]
EVERY_TASK: tuple[Task, ...] = ("ranking", "regression", "binary_classification", "multiclass_classification")

# The columns that a task's predictions have, whoever wrote them; binary has an older form of Kumo's.
OUTPUT_COLUMNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "ranking": (("ENTITY", "CLASS", "SCORE"),),
    "regression": (("ENTITY", "TARGET_PRED"),),
    "binary_classification": (("ENTITY", "TARGET_PRED", "TRUE_PROB"), ("ENTITY", "SCORE")),
    "multiclass_classification": (("ENTITY", "CLASS", "SCORE", "PREDICTED"),),
}
