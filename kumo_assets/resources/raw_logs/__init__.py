"""Raw logs that are not in Snowflake: how far they reach. `reach` is the door; each place that is asked has a module."""
