"""`kumo-assets`. Operational commands import neither Dagster nor the Snowflake connector: they must work at 3 a.m., when
one of those may be what is broken, and be there at once. `look` reads, `move` changes the pointer, `materialize` runs
the chain, `doctor` tries every outside system.
"""
