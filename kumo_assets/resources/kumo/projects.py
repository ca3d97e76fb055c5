"""Which project of a 3.0 tenant everything belongs to, and the parameter that names it in each request.

The rules are those of the vendor's client (kumoai 3.0.0b3, kumoai/__init__.py, `_resolve_project`, and
kumoai/client/client.py, `_inject_project_param`). What is done within a project is in `v3`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from kumo_assets.resources.kumo.errors import KumoRefused
from kumo_assets.resources.kumo.paths import at
from kumo_assets.resources.kumo.transport import Transport
from kumo_assets.resources.kumo.wire import array, mapping, text

# kumo-api 3.0.0b3, kumoapi/data_source.py: the default project's id is part of the API's contract.
DEFAULT_PROJECT = "default"
_ID = re.compile(r"default|project_[a-f0-9]{32}")
_SLUG = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){1,46}[a-z0-9]")
# Asked before there is a project, or of all of them.
_UNSCOPED = ("/authentication", "/projects")


class Project:
    """One project, looked up once: by id, else by slug, else by display name; the default project for an empty text."""

    def __init__(self, http: Transport, wanted: str) -> None:
        self._http = http
        self._wanted = wanted.strip()
        self._id = ""

    @property
    def id(self) -> str:
        """Its id. KumoRefused when there is no such project, or the text names two."""
        if not self._id:
            self._id = self._resolved()
        return self._id

    def scope(self, path: str) -> Mapping[str, str]:
        """The parameters of a request: a path that begins with `projects/` names its project itself."""
        if path in _UNSCOPED or path.startswith("/projects/"):
            return {}
        return {"project_id": self.id}

    def _resolved(self) -> str:
        wanted = self._wanted or DEFAULT_PROJECT
        if _ID.fullmatch(wanted):
            found = self._get(at("projects", wanted))
            if found is None:
                raise self._refused("there is no such project, or this key may not see it")
            return found
        by_slug = self._get(at("projects", "by-slug", wanted)) if _SLUG.fullmatch(wanted) else None
        projects = [mapping(item, "a project") for item in array(self._http.get("/projects"), "the projects")]
        name = normalised(wanted)
        # The slug of one project may be the name of another: then the text does not say which is meant.
        found_ids = {text(item, "id") for item in projects if normalised(text(item, "display_name")) == name}
        found_ids |= {by_slug} if by_slug is not None else set()
        if len(found_ids) > 1:
            raise self._refused(f"it is the slug or name of several: {', '.join(sorted(found_ids))}")
        if not found_ids:
            known = ", ".join(sorted(text(item, "display_name") for item in projects)) or "none"
            raise self._refused(f"it is neither the slug nor the name of a project; this key sees {known}")
        return found_ids.pop()

    def _get(self, path: str) -> str | None:
        """The id of the project at a path; None for a 404."""
        try:
            return text(mapping(self._http.get(path), "a project"), "id")
        except KumoRefused as error:
            if error.status == 404:
                return None
            raise

    def _refused(self, found: str) -> KumoRefused:
        return KumoRefused(
            "use the Kumo project",
            to=repr(self._wanted or DEFAULT_PROJECT),
            found=found,
            next="correct KUMO_PROJECT (an id, a slug or a name; unset for the default project), and check that "
            "KUMO_API_DIALECT=v3 is what this tenant speaks",
        )


def normalised(name: str) -> str:
    """A display name as 3.0 compares it: spaces around it, case and Unicode's forms make no difference."""
    return unicodedata.normalize("NFKC", name.strip()).casefold()
