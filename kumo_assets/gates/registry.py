"""Every built-in gate by name, derived from the registrations: those a query can set, and the import's, which none can.

No gate is added here. A query's own gates are not here either: they are files, found by `own`.
"""

from __future__ import annotations

from kumo_assets.config.gates import GatesSpec
from kumo_assets.config.registration import Gate
from kumo_assets.documents import IMPORT_GATE
from kumo_assets.gates.import_complete import ImportComplete

GATES: dict[str, type[Gate]] = {**GatesSpec.registrations(), IMPORT_GATE: ImportComplete}
