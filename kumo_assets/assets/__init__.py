"""The chain: one module per asset, each a thin conductor over `resources` and `releases`.

SQL lives in `sql/`. What several modules share: `keys` (asset keys and partitions), `templates` (SQL files), `step`
(which release a run builds, what it adopts, what it proves). Modules with decorated functions do not postpone
annotations: Dagster 1.13 refuses a `context` whose type it cannot see.
"""
