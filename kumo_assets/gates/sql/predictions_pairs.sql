-- Everything the gates of a table of (ENTITY, CLASS, SCORE) ask of it, in one scan. A hash of the pair counts distinct
-- keys at a third less cost than the pair itself.
SELECT
    {{ histogram }}COUNT({{ value }}) AS VALUE_COUNT,
    COUNT(*) AS ROW_COUNT,
    COUNT(DISTINCT ENTITY) AS ENTITY_COUNT,
    COUNT_IF(ENTITY IS NULL OR CLASS IS NULL OR {{ value }} IS NULL) AS NULL_COUNT,
    COUNT(DISTINCT HASH(ENTITY, CLASS)) AS KEY_COUNT,
    MIN({{ value }}) AS LOWEST,
    MAX({{ value }}) AS HIGHEST
FROM {{ table }}
