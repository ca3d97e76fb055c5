"""Run inside an environment of the vendor's SDK: use the unmodified `kumoai` against the emulator, as a customer would.

Prints one JSON document: what each step returned. Takes the URL and the key as arguments. Imports nothing of ours.
"""

import json
import logging
import sys
import time

import kumoai
from kumoai import global_state
from kumoapi.common import JobStatus
from kumoapi.data_snapshot import GraphSnapshotID
from kumoapi.jobs import (
    ArtifactExportRequest,
    BatchPredictionOptions,
    BatchPredictionRequest,
    MetadataField,
    PredictionArtifactType,
    SnowflakePredictionOutput,
    TrainingJobRequest,
    WriteMode,
)


def wait(read, seconds=60):
    """Poll until a terminal status; every status seen."""
    seen = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = read()
        if str(status) not in seen:
            seen.append(str(status))
        if status.is_terminal:
            return seen
        time.sleep(0.02)
    raise AssertionError(f"never terminal: {seen}")


def output(table):
    return SnowflakePredictionOutput(
        artifact_type=PredictionArtifactType.PREDICTIONS,
        connector_id="sandbox_snowflake",
        table_name=table,
        extra_fields=[MetadataField.JOB_TIMESTAMP, MetadataField.ANCHOR_TIMESTAMP],
        write_mode=WriteMode.OVERWRITE,
    )


def main(url, key, table):
    kumoai.init(url=url, api_key=key)
    logging.getLogger("kumoai").setLevel(logging.ERROR)
    client = global_state.client
    jobs, training = client.batch_prediction_job_api, client.training_job_api
    report = {"version": kumoai.__version__}

    models = training.list(pquery_id="next_best_product", job_status=JobStatus.DONE, limit=5)
    report["models"] = [m.job_id for m in models]
    report["metrics"] = [m.name for m in models[0].result.eval_metrics.test_metrics]
    model = models[0].job_id

    snapshot = client.graph_api.create_snapshot("grocery", refresh_source=True)
    report["snapshot_type"] = isinstance(snapshot, (str, GraphSnapshotID))
    while True:
        stages = client.graph_api.get_snapshot(snapshot).stages
        if all(state.status.is_terminal for state in stages.values()):
            break
        time.sleep(0.02)
    report["stages"] = {str(name): str(state.status) for name, state in stages.items()}

    def launch(name, **tags):
        request = BatchPredictionRequest(
            job_tags=tags,
            model_training_job_id=model,
            predict_options=BatchPredictionOptions(num_classes_to_return=5),
            outputs=[output(name)] if name else [],
            graph_snapshot_id=snapshot,
        )
        return jobs.maybe_create(request)

    job_id, validation = launch(table, release="r1")
    report["launch_ok"] = validation.ok
    report["statuses"] = wait(lambda: jobs.get(job_id).job_status_report.status)
    progress = jobs.get_progress(job_id)
    report["progress"] = [progress.completed_iterations, progress.total_iterations]
    report["elapsed_is_time"] = progress.elapsed_prediction_time.total_seconds() >= 0
    report["future_status"] = str(kumoai.BatchPredictionJob(job_id).status().status)
    result = kumoai.BatchPredictionJobResult(job_id)
    report["entities"] = result.summary().num_entities_predicted
    report["tracking_url"] = result.tracking_url
    report["frame"] = list(result.predictions_df().columns)
    report["by_tag"] = [j.job_id for j in jobs.list(additional_tags={"release": "r1"}, limit=2)] == [job_id]
    report["by_model"] = job_id in [j.job_id for j in _by_model(jobs, model)]
    report["tags_updated"] = jobs.update_tags(job_id, {"release": "r2", "who": "sdk"})
    report["tags_deleted"] = jobs.delete_tags(job_id, ["who"])
    report["tags"] = {k: v for k, v in jobs.get(job_id).tags.items() if k in ("release", "who")}

    second, _ = launch(None, release="r9")
    report["cancelled"] = jobs.cancel(second).is_cancelled
    report["after_cancel"] = wait(lambda: jobs.get(second).job_status_report.status)[-1]

    exports = client.artifact_export_api
    export = exports.create(ArtifactExportRequest(job_id=job_id, prediction_output=output(table + "_EXPORT")))
    report["export"] = wait(lambda: exports.get(export))[-1]

    trained = training.create(TrainingJobRequest(job_tags={"by": "sdk"}, pquery_id="next_best_product"))
    report["training"] = wait(lambda: training.get(trained).job_status_report.status)[-1]
    report["training_progress"] = training.get_progress(trained).completed_trials
    report["trained_metrics"] = {m.name: m.value for m in kumoai.TrainingJobResult(trained).metrics().test_metrics}
    report["encoders"] = training.get_encoders(trained) if hasattr(training, "get_encoders") else None
    report["connector"] = client.connector_api.get("sandbox_snowflake").config.schema_name
    report["no_connector"] = client.connector_api.get("nowhere")

    try:
        jobs.get("bp-job-unknown")
    except kumoai.exceptions.HTTPException as error:
        report["unknown_job"] = error.status_code
    refused, validation = jobs.maybe_create(
        BatchPredictionRequest(
            job_tags={},
            model_training_job_id=model,
            predict_options=BatchPredictionOptions(),
            outputs=[
                SnowflakePredictionOutput(
                    artifact_type=PredictionArtifactType.PREDICTIONS, connector_id="nowhere", table_name="T"
                )
            ],
        )
    )
    report["refused"] = refused is None and not validation.ok
    report["defined"] = define(table)
    return report


def define(table):
    """A question put into Kumo from scratch: source tables, a graph with a link, a query by id and by name, training."""
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
    if hasattr(kumoai, "rbac"):  # the older release wants every part of a model plan, and there is nothing to plan here
        _, job = query.fit(non_blocking=True)
        report["fitted"] = wait(lambda: job.status().status)[-1]
    return report


def _by_model(jobs, model):
    """Listing by model came later than the older release."""
    try:
        return jobs.list(model_id=model)
    except TypeError:
        return jobs.list(pquery_id="next_best_product")


if __name__ == "__main__":
    document = main(*sys.argv[1:4])
    print("REPORT " + json.dumps(document))
