-- How much there is and how new it is. One scan; on Snowflake both figures come from micro-partition metadata.
SELECT COUNT(*) AS ROW_COUNT, {{ newest }} AS NEWEST FROM {{ table }}
