"""A Snowflake stand-in: fakesnow's server, one persistent store under it, a checked login, and `COPY INTO 's3://...'`."""
