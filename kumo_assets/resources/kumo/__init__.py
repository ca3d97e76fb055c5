"""Kumo's batch prediction REST API, as far as public material shows it (../shared/kumo_api.md has the evidence).

`model` the values both dialects map to, `wire` tolerant parsing, `transport` HTTP and its dangers, `dialects` the two
sets of routes, `client` launch-once and poll-to-an-end, `output` what a table must prove, `resource` the Dagster shell.
"""
