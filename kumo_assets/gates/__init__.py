"""Gates: what must hold before a release may go live.

Each gate is a pure function from counts to a `Judgement` in a module of its own. `counts` has the SQL that counts (one
scan per table, whatever the number of gates), `checks` the thin Dagster shell that stores the verdict before it is told.
"""
