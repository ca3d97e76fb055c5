"""What `materialize` does with the unsealed release of a day: it goes on with it, or opens a new one that adopts what of
it is still what the definition says, or begins anew.

Whether a run is building the release now is found out in `materialize`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from kumo_assets.assets.made_from import made_from_now
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import CHAIN
from kumo_assets.documents import IMPORT_GATE, Opened
from kumo_assets.errors import DamagedDocument, Refused
from kumo_assets.gates.settings import judged_by_others
from kumo_assets.releases.fingerprints import Difference, first_difference
from kumo_assets.releases.store import ReleaseStore


@dataclass(frozen=True)
class Continuation:
    """A release to go on with. Where the definition differs from what one of its artefacts was made from, it stays as it
    is, and a new release adopts what is above the difference."""

    release: Opened
    difference: Difference | None = None

    @property
    def adopted(self) -> tuple[str, ...]:
        """The assets that the run leaves out, because the release has adopted them or the new one adopts them."""
        if self.difference is not None:
            return self.difference.above
        return tuple(asset for asset in CHAIN if asset in self.release.adopted)

    @property
    def message(self) -> str:
        """The one line that says what is done."""
        found = self.difference
        if found is None:
            return f"Resuming release {self.release.release_id}, opened at {self.release.opened_at}"
        return (
            f"The definition was edited after {found.asset} of {found.release_id} was made: {found.what}. A new release "
            f"adopts {' and '.join(found.above)} and is built from {found.asset} on; {self.release.release_id} stays as it is"
        )


def unsealed(store: ReleaseStore, day: str) -> list[Opened]:
    """The releases of a day that may be gone on with, the newest first: neither sealed nor retired, and not opened before
    one that is sealed, which has taken their place. One whose `opened.json` is damaged is not among them."""
    newest_first = takewhile(lambda one: not one[0].sealed, store.of_day(day))
    return [opened for item, opened in newest_first if not item.retired]


def continuation(store: ReleaseStore, definition: QueryDefinition, release: Opened) -> Continuation | None:
    """How to go on with an unsealed release that no run is building; None to build the day anew.

    A verdict that blocks is final for its artefact, unless the limits of its gate have changed since: then it is judged
    again. An import that failed is no verdict on the data, and is tried again under a new name (rule 2). A release with a
    damaged document is left as it is. Raises Refused when the predictions are of other parameters: new ones cost money, so
    that they are computed only with `--fresh`.
    """
    try:
        found = first_difference(store, release, made_from_now(definition, release.partition))
        final = _blocked(store, definition, release)
    except DamagedDocument:
        return None
    if not final.isdisjoint(found.above if found is not None else CHAIN):
        return None
    if found is not None and not found.above:
        if final:
            return None
        raise Refused(
            "go on with release",
            to=release.release_id,
            found=f"the definition was edited after {found.asset} of {found.release_id} was made: {found.what}",
            next="put the definition back, or compute the predictions anew with --fresh",
        )
    return Continuation(release, found)


def _blocked(store: ReleaseStore, definition: QueryDefinition, release: Opened) -> set[str]:
    """The assets, the release's own and adopted ones, that a verdict blocks for good."""
    stored = [*store.verdicts(release.release_id).values(), *store.required_verdicts(release).values()]
    blocking = [verdict for verdict in stored if verdict is not None and verdict.blocks and verdict.gate != IMPORT_GATE]
    return {verdict.asset for verdict in blocking if not judged_by_others(definition, verdict)}
