"""The Dagster Components that `defs.yaml` files name. Registered for `dg`, so another project can use them as they are."""

from kumo_assets.components.predictive_query import PredictiveQuery
from kumo_assets.components.raw_logs import RawLogs

__all__ = ["PredictiveQuery", "RawLogs"]
