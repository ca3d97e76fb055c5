"""The shortest valid definitions: one query, and the raw logs that it reads."""

QUERY = """
type: kumo_assets.components.PredictiveQuery
attributes:
  owners: ["team:growth"]
  raw_logs: [transactions]
  source: {kumo: {predictive_query_id: q1, connector: c}}
  schedule: {start: 2017-11-01}
"""
RAW = """
type: kumo_assets.components.RawLogs
attributes:
  schema: RAW
  tables: {transactions: {table: TRANSACTIONS, event_time: AT}}
"""
