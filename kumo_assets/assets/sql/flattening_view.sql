-- What the Snowflake Kafka connector lands is one VARIANT per record; queries and Kumo want columns.
CREATE OR REPLACE VIEW {{ view }} AS
SELECT
    {{ columns }}
FROM {{ landing }}
