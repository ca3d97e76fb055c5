-- Everything the gates of a table with one row per ENTITY ask of it, in one scan.
SELECT
    COUNT(*) AS ROW_COUNT,
    COUNT(DISTINCT ENTITY) AS ENTITY_COUNT,
    COUNT_IF(ENTITY IS NULL OR {{ value }} IS NULL) AS NULL_COUNT,
    COUNT(DISTINCT ENTITY) AS KEY_COUNT,
    {{ histogram }}
FROM {{ table }}
