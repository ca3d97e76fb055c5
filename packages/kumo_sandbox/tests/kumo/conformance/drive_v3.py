"""Run inside the environment of the vendor's 3.0 SDK: use the unmodified `kumoai` against the emulator's 3.0 dialect.

Prints one JSON document: what each step returned. Takes the URL, the key, a table and the path of sdk_program.py. Imports
nothing of ours.
"""

import importlib.util
import json
import logging
import sys
import time
from datetime import datetime

import kumoai
from kumoai import global_state
from kumoapi.common import JobStatus
from kumoapi.data_source import CreateConnectorArgs, SnowflakeConnectorResourceConfig
from kumoapi.jobs import (
    BatchPredictionOptions,
    BatchPredictionRequest,
    MetadataField,
    PredictionArtifactType,
    SnowflakePredictionOutput,
    TrainingJobRequest,
    WriteMode,
)


def wait(read, seconds=60):
    """Poll until a terminal status; the last one seen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = read()
        if status.is_terminal:
            return str(status)
        time.sleep(0.02)
    raise AssertionError(f"never terminal: {status}")


def main(url, key, table, program):
    kumoai.init(url=url, api_key=key)
    logging.getLogger("kumoai").setLevel(logging.ERROR)
    client = global_state.client
    jobs, training = client.batch_prediction_job_api, client.training_job_api
    report = {"version": kumoai.__version__, "project": global_state._project_id}
    connector = client.connector_api.get_by_name("Sandbox_Snowflake ")
    report["connector"] = [connector.name, connector.config.schema_name, connector.id.startswith("connector_")]
    report["by_id"] = client.connector_api.get(connector.id) == connector
    report["no_connector"] = client.connector_api.get("connector_none")

    models = training.list(pquery_id="next_best_product", job_status=JobStatus.DONE, limit=5)
    report["models"] = [[m.project_id, len(m.result.eval_metrics.test_metrics)] for m in models]
    snapshot = client.graph_api.create_snapshot("grocery", refresh_source=True)
    while not all(s.status.is_terminal for s in client.graph_api.get_snapshot(snapshot).stages.values()):
        time.sleep(0.02)

    def launch(to, classes=5, where=connector.id, **fields):
        return jobs.maybe_create(
            BatchPredictionRequest(
                job_tags={"release": "r1"},
                model_training_job_id=models[0].job_id,
                predict_options=BatchPredictionOptions(num_classes_to_return=classes),
                outputs=[
                    SnowflakePredictionOutput(
                        artifact_type=PredictionArtifactType.PREDICTIONS,
                        connector_id=where,
                        table_name=to,
                        extra_fields=[MetadataField.JOB_TIMESTAMP, MetadataField.ANCHOR_TIMESTAMP],
                        write_mode=WriteMode.OVERWRITE,
                    )
                ],
                graph_snapshot_id=snapshot,
                **fields,
            )
        )

    job_id, validation = launch(table, prediction_time=datetime(2017, 11, 1))
    report["launched"] = validation.ok
    report["status"] = wait(lambda: jobs.get(job_id).job_status_report.status)
    job = jobs.get(job_id)
    report["job"] = [job.project_id, job.result.num_entities_predicted, str(job.config.prediction_time)]
    report["progress"] = jobs.get_progress(job_id).completed_iterations
    report["by_tag"] = [j.job_id for j in jobs.list(additional_tags={"release": "r1"}, limit=2)] == [job_id]
    report["tags"] = [jobs.update_tags(job_id, {"release": "r2"}), jobs.get(job_id).tags["release"]]
    report["too_many_classes"] = launch(table, classes=501)[1].ok
    report["connector_by_name"] = launch(table, where="sandbox_snowflake")[1].ok
    second, _ = launch(f"{table}_2")
    report["cancelled"] = jobs.cancel(second).is_cancelled
    report["after_cancel"] = wait(lambda: jobs.get(second).job_status_report.status)
    trained = training.create(TrainingJobRequest(job_tags={"by": "sdk"}, pquery_id="next_best_product"))
    report["training"] = wait(lambda: training.get(trained).job_status_report.status)

    report["defined"] = define(table)
    made = client.projects_api.create_project("Fraud Detection", global_state._project_group_id, slug="fraud")
    # By id, by slug and by name it is the same project; and nothing of the first one is in it.
    report["projects"] = [kumoai.get_project(which).id == made.id for which in (made.id, "fraud", " fraud DETECTION")]
    kumoai.set_project("fraud")
    report["elsewhere"] = [jobs.list(), client.connector_api.list()]
    target = SnowflakeConnectorResourceConfig(warehouse="W", database="KUMO", schema_name="PUBLIC")
    client.connector_api.create(CreateConnectorArgs(name="theirs", config=target))
    spec = importlib.util.spec_from_file_location("sdk_program", program)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    report["training_py"] = [type(module.Sources(None)["theirs"]).__name__]
    try:
        module.Sources(None)["nowhere"]
    except ValueError as error:
        report["training_py"].append(str(error))
    try:
        jobs.get(job_id)
    except kumoai.exceptions.HTTPException as error:
        report["other_project"] = error.status_code
    return report


def define(table):
    """A question put into Kumo 3.0 from scratch: source tables, a graph with a link, a query by id and by name, training."""
    connector = kumoai.SnowflakeConnector.get_by_name("sandbox_snowflake")
    events, products = f"{table}_EVENTS", f"{table}_PRODUCTS"
    report = {"has_table": connector.has_table(events), "listed": {events, products} <= set(connector.table_names())}
    graph = kumoai.Graph(
        tables={
            "events": kumoai.Table.from_source_table(connector[events], time_column="AT").infer_metadata(),
            "products": kumoai.Table.from_source_table(connector[products], primary_key="PRODUCT_ID").infer_metadata(),
        }
    )
    graph.infer_links()
    report["links"] = [[edge.src_table, edge.fkey, edge.dst_table] for edge in graph.edges]
    graph.validate(verbose=False)
    saved = graph.save()
    report["graph"] = [saved.startswith("graph-"), graph.save() == saved, sorted(kumoai.Graph.load(saved).tables)]
    query = kumoai.PredictiveQuery(
        graph=graph,
        query="PREDICT LIST_DISTINCT(events.PRODUCT_ID, 0, 28, days) RANK TOP 12 FOR EACH events.HOUSEHOLD_ID",
    )
    query.validate(verbose=False)
    report["task"] = str(query.get_task_type())
    report["query"] = [query.save().startswith("pquery-"), query.save() == query.save()]
    report["by_name"] = [query.save(table.lower()), kumoai.PredictiveQuery.load(table.lower()).query == query.query]
    try:
        kumoai.PredictiveQuery(graph=graph, query="PREDICT NONSENSE").validate(verbose=False)
    except ValueError as error:
        report["nonsense"] = "is not understood" in str(error)
    job = kumoai.Trainer(query.suggest_model_plan()).fit(
        graph, query.generate_training_table(non_blocking=True), non_blocking=True
    )
    report["fitted"] = wait(lambda: job.status().status)
    return report


if __name__ == "__main__":
    document = main(*sys.argv[1:])
    print("REPORT " + json.dumps(document))
