"""The tasks a query may have: what is predicted for an entity, whoever predicts it.

Only the names are here. What a task means for the output is in `query.py`, which gates it has is in `gates.py`.
"""

from __future__ import annotations

from typing import Literal

Task = Literal["ranking", "regression", "binary_classification", "multiclass_classification"]
EVERY_TASK: tuple[Task, ...] = ("ranking", "regression", "binary_classification", "multiclass_classification")
