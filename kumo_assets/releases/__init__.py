"""Releases: the objects they are made of, the promotion decision, the ledger, retention.

No Dagster here (but for `resource`, a thin shell), no Snowflake: a rollback at 3 a.m. needs neither.
"""
