"""The project's Dagster definitions, for a command that runs one query; and what a broken definition says to a person.

Dagster loads a project whole or not at all, and its error shows where the YAML is, not what is wrong. So the message is
taken from its cause, and where only other definitions are broken the query is loaded from its own folder (rule 10).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from kumo_serving.errors import KumoAssetsError

from kumo_assets.cli.output import note
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.project import Project, defs_folder, project_around
from kumo_assets.errors import ConfigError

if TYPE_CHECKING:
    import dagster as dg


def daily_job(index: DefinitionsIndex, definition: QueryDefinition) -> dg.JobDefinition:
    """The query's daily job. Raises as `job_of`."""
    from kumo_assets.automation.jobs import daily_job_name

    return job_of(index, definition, daily_job_name(definition.name))


def job_of(index: DefinitionsIndex, definition: QueryDefinition, name: str) -> dg.JobDefinition:
    """A job of the query, out of the project's definitions; out of its own folder when others are broken, which is said
    on stderr.

    Raises ConfigError with the sentence that names the fault: of this query's own definition, and of a project that does
    not load for another reason.
    """
    from kumo_assets.assets.definition_check import demand_usable, faults

    demand_usable(index, definition)
    project = _project()
    try:
        job: dg.JobDefinition = load_definitions(project).resolve_job_def(name)
        return job
    except Exception as error:  # what a project's own code may raise while it loads: anything
        broken = [str(fault) for fault in faults(index)]
        if not broken and not _in_the_folder(error):
            raise ConfigError(
                "load the definitions",
                to=project.definitions,
                found=sentence(error),
                next="fix that; `dg check defs` shows where it is",
            ) from error
        for line in broken or [sentence(error)]:
            note(f"Another definition of this project is broken: {line}")
        note(f"Working on {definition.name} alone, from {definition.folder}, with this package's own resources")
        return _alone(index, definition).resolve_job_def(name)


def load_definitions(project: Project | None = None) -> Any:
    """The Definitions of the project around the current folder, else of the one around `KUMO_ASSETS_DEFS`, resolved.

    ConfigError when there is no project, or its module has no `defs`; whatever its module raises.
    """
    project = project or _project()
    if find_spec(project.definitions.partition(".")[0]) is None:
        sys.path.insert(0, str(project.source))  # a project that is not installed is found by path, as Dagster finds it
    module = import_module(project.definitions)
    found = getattr(module, "defs", None)
    if found is None:
        raise ConfigError(
            "load the definitions",
            to=project.definitions,
            found="it has no `defs`",
            next="assemble them with @dg.definitions",
        )
    return found() if callable(found) else found


def sentence(error: BaseException) -> str:
    """What a person needs of an error: the first of ours among its causes, else the deepest cause."""
    chain = list(_causes(error))
    ours = next((cause for cause in chain if isinstance(cause, KumoAssetsError)), None)
    if ours is not None:
        return str(ours)
    return f"{type(chain[-1]).__name__}: {' '.join(str(chain[-1]).split())[:800]}"


def _project() -> Project:
    folder = defs_folder()
    project = project_around(Path.cwd()) or project_around(folder)
    if project is None:
        raise ConfigError(
            "load the definitions in",
            to=str(folder),
            found="no Dagster project is around that folder, nor around the current one",
            next="run this in the project that Dagster loads",
        )
    return project


def _alone(index: DefinitionsIndex, definition: QueryDefinition) -> dg.Definitions:
    """The query, its raw logs and the shared resources: what its jobs need of a project. They bring their own executor."""
    import dagster as dg

    from kumo_assets.assets.definition_check import demand_usable
    from kumo_assets.assets.raw import build_raw_logs
    from kumo_assets.components.predictive_query import build_query
    from kumo_assets.definitions import shared_definitions

    usable = demand_usable(index, definition)
    return dg.Definitions.merge(
        shared_definitions(),
        *(build_raw_logs(name, spec) for name, spec in index.raw_logs_of(definition).items()),
        build_query(definition, usable.sources, usable.others),
    )


def _in_the_folder(error: BaseException) -> bool:
    """Whether it was raised while Dagster loaded the folder of definitions, not by the project's other code."""
    frames = (frame.f_globals for cause in _causes(error) for frame, _ in walk_tb(cause.__traceback__))
    return any(str(names.get("__name__")).startswith("dagster.components.") for names in frames)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, the deepest last."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
