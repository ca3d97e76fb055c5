"""How good a release was, once the time it speaks of has passed: what was served, joined with what happened.

A sample of what each release serves is kept (`served`). At each age that the query asks for it is counted against the
logs (`count_sql`), beside two rivals, and becomes a write-once document of the release (`judging`). No Dagster here: the
asset, its check and its schedule are in `assets.outcomes` and `automation.outcomes`.
"""
