"""The shop's home page: a household's 5 products, from whichever release is active at this moment.

What a team's web service does with `kumo_serving` is all here: one reader for the life of the process, one `get` a
page. What the page says is decided in `page`; product names come from a file read once, never from the warehouse.

    uvicorn --app-dir examples/storefront shop:app --port 3001 --loop asyncio
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kumo_serving import AsyncReader
from kumo_serving.errors import KumoAssetsError, NotServed, PointerError, ReadError
from page import Catalogue, Staged, build, staged, state, unknown
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

log = logging.getLogger("storefront")
HERE = Path(__file__).parent
templates = Jinja2Templates(HERE / "templates")
# A shop refreshes its pointer each second; ten seconds without an answer are worth saying on the page.
STALE_SECONDS = "10"


def pointer_address(env: Mapping[str, str]) -> str:
    """Where the active pointer is: STOREFRONT_POINTER (s3://... or zk://...), else the S3 pointer of this environment."""
    if env.get("STOREFRONT_POINTER"):
        return env["STOREFRONT_POINTER"]
    missing = [name for name in ("KUMO_ASSETS_BUCKET", "KUMO_ASSETS_ENV") if not env.get(name)]
    if missing:
        raise KumoAssetsError(
            "start the storefront",
            found=f"{' and '.join(missing)} not set",
            next='eval "$(kumo-sandbox env)", or set STOREFRONT_POINTER',
        )
    return f"s3://{env['KUMO_ASSETS_BUCKET']}/{env['KUMO_ASSETS_ENV']}/{query_name(env)}/active.json"


def query_name(env: Mapping[str, str]) -> str:
    return env.get("STOREFRONT_QUERY", "next_best_product")


async def home(request: Request) -> Response:
    """The page of one household; of a well-known one when none is chosen."""
    reader: AsyncReader = request.app.state.reader
    catalogue: Catalogue = request.app.state.catalogue
    household = request.query_params.get("household", "").strip()[:64] or catalogue.first_household
    now = datetime.now(UTC)
    try:
        page = build(household, await reader.get(household), reader.fallback, reader.health(), catalogue, now)
    except (ReadError, PointerError) as error:
        # A shop's page is worth more than its recommendations: it is served without them, and somebody is told.
        log.warning("no recommendations for a page: %s", error)
        page = unknown(household, reader.fallback, reader.health(), catalogue, now)
    if request.query_params.get("beside") == "staged":
        page = replace(page, staged=await beside(reader, household, catalogue))
    return templates.TemplateResponse(request, "home.html", {"page": page, "households": catalogue.suggestions})


async def beside(reader: AsyncReader, household: str, catalogue: Catalogue) -> Staged:
    """The same household in the release that waits for approval: for those who decide, never for a shopper."""
    try:
        return staged(await reader.get(household, release="staged"), catalogue)
    except NotServed:
        return Staged([], note="No release waits for approval.")
    except (ReadError, PointerError) as error:
        log.warning("no staged list for a page: %s", error)
        return Staged([], note="The release that waits for approval does not answer just now.")


async def another(request: Request) -> Response:
    """A household at random."""
    return RedirectResponse(f"/?household={request.app.state.catalogue.any_household()}", status_code=303)


async def release(request: Request) -> Response:
    """What the open page asks every other second, to show a new release without being reloaded by hand."""
    reader: AsyncReader = request.app.state.reader
    promoted_at = reader.pointer.promoted.at if reader.pointer is not None else ""
    return JSONResponse(state(reader.health(), promoted_at, datetime.now(UTC)))


async def healthz(request: Request) -> Response:
    """For a load balancer: ready while there is a pointer to answer from, however old."""
    health = request.app.state.reader.health()
    return JSONResponse(
        {
            "ok": health.ok,
            "state": health.state,
            "release_id": health.release_id,
            "pointer_age_seconds": health.pointer_age_seconds,
        },
        status_code=200 if health.ok else 503,
    )


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    env = os.environ
    home_folder = Path(env.get("KUMO_SANDBOX_HOME", ".sandbox"))
    app.state.catalogue = Catalogue.read(Path(env.get("STOREFRONT_CATALOGUE", home_folder / "catalogue.json")))
    async with AsyncReader(
        query_name(env),
        pointer_address(env),
        budget_seconds=0.25,
        stale_after_seconds=float(env.get("STOREFRONT_STALE_SECONDS", STALE_SECONDS)),
        cache_dir=env.get("STOREFRONT_CACHE") or None,
    ) as reader:
        app.state.reader = reader
        yield


app = Starlette(
    routes=[
        Route("/", home),
        Route("/another", another),
        Route("/release", release),
        Route("/healthz", healthz),
        Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
    ],
    lifespan=lifespan,
)
