"""The gates on the raw logs of a partition's day: counted by `count_sql`, for all logs by `take_counts`, judged by
`judgements`, and stored and shown by `checks`, as part of the predictions' own step before anything is launched."""
