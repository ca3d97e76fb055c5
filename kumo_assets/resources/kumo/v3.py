"""The 3.0 dialect: the job routes of `sdk`, with a project, connectors by id, and bodies that must have no other field.

Read in the vendor's client (kumoai 3.0.0b3) and its models (kumo-api 3.0.0b3). Which project is meant is in `projects`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.dialects import SdkDialect
from kumo_assets.resources.kumo.errors import KumoRefused
from kumo_assets.resources.kumo.model import Launch
from kumo_assets.resources.kumo.paths import at
from kumo_assets.resources.kumo.projects import Project, normalised
from kumo_assets.resources.kumo.transport import Transport
from kumo_assets.resources.kumo.wire import array, mapping, text

# Link prediction refuses more, and refuses a launch without a number (kumo-engine 1.0.0, whose admission is that of 3.0).
MOST_CLASSES = 500


class V3Dialect(SdkDialect):
    """Routes of kumoai 3.0.0b3 (October 2026), under `<base>/v1`, in the project that KUMO_PROJECT names."""

    def __init__(self, http: Transport, project: str = "") -> None:
        super().__init__(http)
        self._project = Project(http, project)
        http.scope = self._project.scope
        self._connectors: dict[str, str] = {}

    def probe(self) -> None:
        """Whether the key is accepted, then whether the project is there. A 404 is not the key's fault."""
        try:
            self._http.get("/authentication")
        except KumoRefused as error:
            if error.status != 404:
                raise
            raise KumoRefused(
                "authenticate to Kumo",
                to=f"(GET /authentication at {self._http.url})",
                found="HTTP 404: this tenant does not speak 3.0, or this is not its address",
                next="check KUMO_API_URL; for a tenant of 2.x set KUMO_API_DIALECT=sdk",
            ) from error
        _ = self._project.id

    def connectors(self) -> list[dict[str, object]]:
        """Those of the project, each with its `id` and `name` beside its configuration."""
        path = at("projects", self._project.id, "connectors")
        found = [mapping(item, "a connector") for item in array(self._http.get(path), "the connectors")]
        return [
            {**mapping(item.get("config"), "a connector's config"), "id": text(item, "id"), "name": text(item, "name")}
            for item in found
        ]

    def check(self, launch: Launch) -> None:
        """ConfigError for more classes than 3.0 returns; KumoRefused for a connector that the project does not have."""
        self.check_classes(launch.task, launch.num_classes)
        self._connector(launch)

    def check_classes(self, task: str, num_classes: int | None) -> None:
        if task == "ranking" and num_classes is not None and num_classes > MOST_CLASSES:
            raise ConfigError(
                "use source.kumo.classes_per_entity",
                to=str(num_classes),
                found=f"Kumo 3.0 returns at most {MOST_CLASSES} candidates an entity",
                next=f"set source.kumo.classes_per_entity to {MOST_CLASSES} or less",
            )

    def _connector(self, launch: Launch) -> str:
        """The id of the launch's connector, which the definition may write as a name or an id."""
        wanted = launch.connector
        if wanted not in self._connectors:
            known = self.connectors()
            name = normalised(wanted)
            found = {str(item["id"]) for item in known if item["id"] == wanted or normalised(str(item["name"])) == name}
            if len(found) != 1:
                names = ", ".join(sorted(str(item["name"]) for item in known)) or "none"
                raise KumoRefused(
                    "find the connector of",
                    to=launch.query_id,
                    found=f"{wanted!r} is {'not' if not found else 'more than one'} of the project's connectors: {names}",
                    next="correct source.kumo.connector (a name or an id), or set KUMO_PROJECT to the project that has it",
                )
            self._connectors[wanted] = found.pop()
        return self._connectors[wanted]

    def _moment(self, moment: datetime) -> str:
        # Without a zone, and in UTC: the Engine refuses one with a zone, "matching hosted admission" (kumo-engine 1.0.0).
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
