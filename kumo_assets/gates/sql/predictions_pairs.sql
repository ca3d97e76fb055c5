-- Everything the gates of a table of (ENTITY, CLASS, SCORE) ask of it, in one scan.
SELECT
    COUNT(*) AS ROW_COUNT,
    COUNT(DISTINCT ENTITY) AS ENTITY_COUNT,
    COUNT_IF(ENTITY IS NULL OR CLASS IS NULL OR {{ value }} IS NULL) AS NULL_COUNT,
    COUNT(DISTINCT ENTITY, CLASS) AS KEY_COUNT,
    {{ histogram }}
FROM {{ table }}
