"""What a user writes and what everything is called: query definitions, artefact names, the environment.

Pure values and YAML reading; no Dagster, no network. The Dagster Components are a thin shell around these models, so
that operational commands can read one query's file without loading Dagster.
"""
