"""Every call of the Kumo Engine, version 1.0.0: the one file that changes with it. Runs inside the Engine's environment.

Data comes and goes as local Parquet files. Talking to the parent process and to S3 is in `engine_program`.
Source: the package's own README and code (kumo/engine), read for 1.0.0; its documentation online shows another API.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from kumo.engine import Edge, FileConnector, Graph, PredictiveQuery, Table, Trainer, configure
from kumo.engine import __version__ as VERSION
from kumo.engine._local_schema import TableDefinition  # the public one has no local files
from kumoapi.model_plan import HopConfig, InferredType, MissingType, RunMode
from kumoapi.table import Column
from kumoapi.task import TaskType
from kumoapi.typing import Dtype, Stype

# The task of a definition -> the Engine's names for it.
TASKS = {
    "ranking": ("temporal_link_prediction", "static_link_prediction"),
    "regression": ("regression",),
    "binary_classification": ("binary_classification",),
    "multiclass_classification": ("multiclass_classification",),
}
# Snowflake's types -> the Engine's.
DTYPES = {
    "TEXT": Dtype.string,
    "VARCHAR": Dtype.string,
    "NUMBER": Dtype.int,
    "FLOAT": Dtype.float,
    "BOOLEAN": Dtype.bool,
}
# The most neighbours of a step that the Engine takes for all edges; more are said for one edge (kumoapi, HopConfig).
MOST_FOR_ALL = 128


class QuestionError(Exception):
    """The question cannot be asked: its PQL, its graph, or a task that is not the definition's."""


def set_up(scratch: Path) -> None:
    """Keep everything that the Engine writes under one folder. Call it first."""
    scratch.mkdir(parents=True, exist_ok=True)
    configure(scratch_dir=scratch)


def check(question: dict[str, Any], types: dict[str, dict[str, str]], task: str, folder: Path) -> list[str]:
    """Parse the PQL against the graph, before there is any data: warnings. `types` has table -> column -> Snowflake type.

    Raises QuestionError.
    """
    files = FileConnector(root_dir=_made(folder))
    keys = {(name, table["primary_key"]) for name, table in question["tables"].items()}
    keys |= {(source, key) for source, key, _ in question["edges"]}
    tables = {}
    for name, table in question["tables"].items():
        columns = [
            _column(column, (name, column) in keys, column == table["time_column"], kind)
            for column, kind in types[name].items()
        ]
        _without_rows(folder / name, columns)
        definition = TableDefinition(
            cols=columns,
            source_table=files[name].to_source_table(),
            pkey=table["primary_key"],
            time_col=table["time_column"],
        )
        tables[name] = Table(connector=files, table_name=name, definition=definition)
    query = PredictiveQuery(_graph(tables, question), question["pql"])
    found = _asked(query.validate, verbose=False)
    asked = TaskType(_asked(query.get_task_type))
    if str(asked.value) not in TASKS[task]:
        raise QuestionError(f"the PQL asks for {asked.value}, and the definition says task: {task}")
    return [f"{item.title}: {item.message}" for item in found.warnings]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _without_rows(folder: Path, columns: list[Column]) -> None:
    """A table of these columns, which the Engine looks for before it reads a query."""
    types = {Dtype.int: pa.int64(), Dtype.float: pa.float64(), Dtype.bool: pa.bool_(), Dtype.date: pa.timestamp("us")}
    folder.mkdir()
    schema = pa.schema([pa.field(column.name, types.get(column.dtype, pa.string())) for column in columns])
    pq.write_table(schema.empty_table(), folder / "none.parquet")


def _column(name: str, is_key: bool, is_time: bool, kind: str) -> Column:
    if is_time:
        return Column(name=name, stype=Stype.timestamp, dtype=Dtype.date)
    dtype = Dtype.date if kind.startswith(("TIMESTAMP", "DATE")) else DTYPES.get(kind, Dtype.string)
    stype = Stype.ID if is_key else Stype.categorical
    if not is_key and dtype in (Dtype.int, Dtype.float):
        stype = Stype.numerical
    return Column(name=name, stype=Stype.timestamp if dtype == Dtype.date else stype, dtype=dtype)


def _graph(tables: dict[str, Table], question: dict[str, Any]) -> Graph:
    edges = [Edge(source, key, target) for source, key, target in question["edges"]]
    return Graph(tables, edges)


def _asked(call: Any, **options: Any) -> Any:
    try:
        return call(**options)
    except Exception as error:  # the Engine documents no type for a query that it refuses
        raise QuestionError(" ".join(str(error).split())[:800]) from error


class Run:
    """The question over one folder of data: a folder of Parquet files a table."""

    def __init__(self, question: dict[str, Any], data: Path) -> None:
        files = FileConnector(root_dir=data)
        tables = {}
        for name, table in question["tables"].items():
            built = Table.from_source_table(
                files[name], primary_key=table["primary_key"], time_column=table["time_column"]
            )
            for column, stype in table["stypes"].items():
                built = built.with_column(column, stype=Stype(stype))
            tables[name] = built
        graph = _graph(tables, question)
        self.query = PredictiveQuery(graph, question["pql"])
        _asked(self.query.validate, verbose=False)
        self.snapshot = graph.snapshot()

    def train(self, settings: dict[str, Any]) -> tuple[Path, dict[str, float]]:
        """(the bundle's folder, metrics by the Engine's names)."""
        plan = self.query.suggest_model_plan(self.snapshot, run_mode=RunMode.FAST)
        _apply(plan, settings)
        table = self.query.generate_training_table(self.snapshot)
        result = Trainer(plan).fit(table, snapshot=self.snapshot)
        metrics = {name: float(value) for name, value in result.metrics.items()}
        return result.bundle_dir, {name: value for name, value in metrics.items() if math.isfinite(value)}

    def predict(self, bundle: Path, anchor: datetime, classes: int | None, threshold: float | None) -> list[str]:
        """The Parquet files with the predictions at `anchor` (naive UTC), by a model that `train` made."""
        trainer = Trainer.load(bundle)
        # A query without a time takes no anchor.
        temporal = trainer.training_table_generation_plan is not None and _is_temporal(self.query)
        table = self.query.generate_prediction_table(
            self.snapshot,
            prediction_time=anchor if temporal else None,
            plan=trainer.training_table_generation_plan,
        )
        options: dict[str, Any] = {}
        if classes is not None:
            options["num_classes_to_return"] = classes
        if threshold is not None:
            options["binary_classification_threshold"] = threshold
        return list(trainer.predict(table, snapshot=self.snapshot, **options).files)


def _is_temporal(query: PredictiveQuery) -> bool:
    from kumo_core.pquery import query_is_temporal

    return bool(query_is_temporal(query._parsed, query.graph.native_graph))


def _apply(plan: Any, settings: dict[str, Any]) -> None:
    """Put what the definition says into the plan that the Engine suggests. Lists are what its search would try."""
    plan.training_job.num_experiments = settings["experiments"]
    plan.training_job.disable_explain = True
    plan.training_job.manual_seed = settings["seed"]
    plan.optimization.max_epochs = settings["epochs"]
    if settings["batch_size"] is not None:
        plan.optimization.batch_size = [settings["batch_size"]]
    if settings["learning_rate"] is not None:
        plan.optimization.base_lr = [settings["learning_rate"]]
    architecture = plan.model_architecture
    if settings["channels"] is not None:
        if not isinstance(architecture.channels, MissingType):
            architecture.channels = [settings["channels"]]
        for model in architecture.model if isinstance(architecture.model, list) else ():
            model.channels = [settings["channels"]]
    if settings["small"]:
        _one_of_each(architecture)
    if settings["fan_out"] is not None:
        for neighbours in plan.neighbor_sampling.num_neighbors:
            _widen(neighbours.hop1, settings["fan_out"])


def _one_of_each(architecture: Any) -> None:
    """The smallest model of those that the search would try: quick on a CPU."""
    architecture.num_pre_message_passing_layers = [0]
    architecture.num_post_message_passing_layers = [1]
    for model in architecture.model if isinstance(architecture.model, list) else ():
        model.aggregation = model.aggregation[:1]


def _widen(hop: HopConfig, fan_out: int) -> None:
    """Sample so many events of an entity. The suggestion names the edges from the entity, as inferred."""
    hop.default = min(fan_out, MOST_FOR_ALL)
    for edge, value in list(vars(hop).items()):
        if "->" in edge and (value == InferredType.VALUE or isinstance(value, int)):
            setattr(hop, edge, fan_out)


def progress_in(scratch: Path) -> dict[str, Any] | None:
    """The newest training's progress: epochs done, seconds a training is expected to take, losses and metrics by epoch.

    The Engine writes it to a file after each epoch (kumo_core, TrainingProgressLogger).
    """
    files = sorted(scratch.glob("trainers/**/train_progress.json"), key=lambda path: path.stat().st_mtime)
    if not files:
        return None
    try:
        found = json.loads(files[-1].read_text())
    except (OSError, ValueError):  # being written
        return None
    epochs = [found["metrics"][key] for key in sorted(found["metrics"], key=int)]
    named = [{**epoch["train_metrics"], **epoch["validation_metrics"]} for epoch in epochs]
    curves: dict[str, list[float]] = {}
    for name in ("train_loss", "val_loss", *(named[-1] if named else ())):
        values = [epoch.get(name) for epoch in named]
        if values and all(isinstance(value, (int, float)) and math.isfinite(value) for value in values):
            curves[name] = [float(value) for value in values]  # type: ignore[arg-type]
    return {
        "epochs": int(found["num_epochs_completed"]),
        "elapsed": float(found["elapsed_time"]),
        "estimated": found["estimated_train_time"],
        "curves": curves,
    }


__all__ = ["VERSION", "QuestionError", "Run", "check", "progress_in", "set_up"]
