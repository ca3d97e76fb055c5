-- What must hold before an export: no null, no entity with a class or a rank twice. One scan and one grouping, counts
-- only. C1, C2, ... are hashes of the class at each rank: a list whose rows all stand at ranks of their own, with hashes
-- that differ, repeats nothing. The others are SUSPECTS, which prove_list_exactly.sql counts.
SELECT
    SUM(LENGTH) AS ROW_COUNT,
    COUNT(ENTITY) AS ENTITY_COUNT,
    SUM(NULLS) AS NULL_COUNT,
    {{ keys }} AS KEY_COUNT,
    COUNT_IF(OCTET_LENGTH({{ key }}) = 0) AS EMPTY_KEYS,
    COUNT_IF(OCTET_LENGTH({{ key }}) > {{ most_bytes }}) AS LONG_KEYS,
    COUNT_IF({{ changed }}) + SUM(CHANGED) AS CHANGED_KEYS,
    COUNT_IF({{ suspect }}) AS SUSPECTS,
    MAX(LAST_RANK) AS LONGEST,
    MIN(LOWEST) AS LOWEST,
    MAX(HIGHEST) AS HIGHEST
FROM (
    SELECT
        ENTITY,
        COUNT(*) AS LENGTH,
        COUNT_IF(ENTITY IS NULL OR CLASS IS NULL OR SCORE IS NULL OR RANK IS NULL) AS NULLS,
        COUNT_IF({{ changed_class }}) AS CHANGED,
        MAX(RANK) AS LAST_RANK,
        MIN(SCORE) AS LOWEST,
        MAX(SCORE) AS HIGHEST{{ classes }}
    FROM {{ postprocessed }}
    GROUP BY ENTITY
)
