"""Kumo's batch prediction REST API, as far as public material shows it (docs/kumo_faults.md shows how it is survived).

`model` the values both dialects map to; `auth`, `replies`, `transport` HTTP and its dangers; `wire` tolerant parsing;
`dialects` the two sets of routes; `launching` launch once; `polling`, `waiting` poll to an end; `snapshots`, `training`
data and models; `client` all of it together; `output` what a table must prove; `resource` the Dagster shell.
"""
