-- What must hold before an export: no null, one row per entity. One scan, counts only.
SELECT
    COUNT(*) AS ROW_COUNT,
    COUNT(DISTINCT ENTITY) AS ENTITY_COUNT,
    COUNT_IF(ENTITY IS NULL OR TARGET_PRED IS NULL) AS NULL_COUNT,
    {{ keys }} AS KEY_COUNT,
    COUNT_IF(OCTET_LENGTH({{ key }}) = 0) AS EMPTY_KEYS,
    COUNT_IF(OCTET_LENGTH({{ key }}) > {{ most_bytes }}) AS LONG_KEYS,
    COUNT_IF({{ changed }}) AS CHANGED_KEYS,
    COUNT(*) AS CLASS_KEY_COUNT,
    COUNT(DISTINCT ENTITY) AS RANK_KEY_COUNT,
    1 AS LONGEST,
    MIN(TARGET_PRED) AS LOWEST,
    MAX(TARGET_PRED) AS HIGHEST
FROM {{ postprocessed }}
