-- What the Snowflake Kafka connector lands is one VARIANT per record; queries and Kumo want columns. Replaced in one
-- atomic step at each observation, so that it always says what the definition says; grants on it are kept.
CREATE OR REPLACE VIEW {{ view }} COPY GRANTS AS
SELECT
    {{ columns }}
FROM {{ landing }}
