-- Everything that gates need of a table with one row per ENTITY, in one scan. Rows without a key count as one each.
-- Of a binary table also the lowest probability predicted true, and the highest predicted false.
SELECT
    {{ histogram }}COUNT({{ value }}) AS VALUE_COUNT,
    COUNT(*) AS ROW_COUNT,
    COUNT(DISTINCT ENTITY) AS ENTITY_COUNT,
    COUNT_IF(ENTITY IS NULL OR {{ value }} IS NULL) AS NULL_COUNT,
    COUNT(DISTINCT ENTITY) + COUNT_IF(ENTITY IS NULL) AS KEY_COUNT,
    {{ decided }}MIN({{ value }}) AS LOWEST,
    MAX({{ value }}) AS HIGHEST
FROM {{ table }}
