"""What an Airflow installs to drive kumo_assets: a daily operator, a trigger, a connection type, example DAGs.

Nothing is imported here, so that the pure modules (`partitions`, `following`, `steps`, `client`) load without Airflow.
Nothing anywhere in this package imports Dagster: it is spoken to over its public GraphQL API.
"""

__version__ = "0.2.0"
