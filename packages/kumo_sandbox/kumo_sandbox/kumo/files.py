"""The parquet files behind `get_prediction_df_urls`, recomputed on each request from the logs up to the job's own anchor.

The vendor serves them from its object store by presigned URL. Here the URL carries a signature and points at the
emulator itself.
"""

from __future__ import annotations

import hmac
import io

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kumo_sandbox.kumo.http import Emulator, emulator_of
from kumo_sandbox.kumo.queries import QuerySpec
from kumo_sandbox.kumo.ranking import CutOff
from kumo_sandbox.kumo.store import Document
from kumo_sandbox.kumo.warehouse import WarehouseProblem, compute, connect


async def download(request: Request) -> Response:
    """GET /_files/{job}/part-0.parquet."""
    kumo = emulator_of(request)
    key = request.path_params["id"]
    if not hmac.compare_digest(request.query_params.get("signature", ""), kumo.signature(key)):
        return JSONResponse({"detail": "signature does not match"}, status_code=403)
    job = kumo.store.get("prediction", key)
    document = kumo.store.get("query", job["query"]) if job else None
    if job is None or document is None:
        return JSONResponse({"detail": f"no predictions of {key}"}, status_code=404)
    try:
        content = await run_in_threadpool(_parquet, kumo, job, QuerySpec.model_validate(document))
    except WarehouseProblem as problem:
        return JSONResponse({"detail": str(problem)}, status_code=500)
    return Response(content, media_type="application/vnd.apache.parquet")


def _parquet(kumo: Emulator, job: Document, spec: QuerySpec) -> bytes:
    options = job["config"]["predict_options"]
    with connect(kumo.settings.warehouse) as cursor:
        classes, threshold = options["num_classes_to_return"], options["binary_classification_threshold"]
        work = compute(cursor, spec, CutOff(**job["cut_off"]), classes, threshold)
        frame = cursor.execute(f"SELECT * FROM {work}").fetch_pandas_all()
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()
