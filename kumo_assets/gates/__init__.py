"""Gates: what must hold before a release may go live. A query's own Python gates import `Outcome` and `Release` here.

Each built-in gate is registered in `kumo_assets.config.gates`, has a pure function from counts to a `Judgement` in a
module of this room, and a line in `bindings` that connects the two. `count_sql` counts, `take_counts` decides what is
counted and keeps it, `checks` is the thin Dagster shell that stores each verdict before it reports it. This module
imports neither Dagster nor pandas.
"""

from kumo_assets.gates.outcome import Outcome, Release

__all__ = ["Outcome", "Release"]
