-- What must hold before an export: no null, no entity with a class or a rank twice. One scan, counts only.
-- Hashes of pairs cost a third less than pairs; prove_list_exactly.sql counts those when a hash seems to repeat.
SELECT
    COUNT(*) AS ROW_COUNT,
    COUNT(DISTINCT ENTITY) AS ENTITY_COUNT,
    COUNT_IF(ENTITY IS NULL OR CLASS IS NULL OR SCORE IS NULL OR RANK IS NULL) AS NULL_COUNT,
    COUNT(DISTINCT TO_VARCHAR(ENTITY)) AS KEY_COUNT,
    COUNT(DISTINCT HASH(ENTITY, CLASS)) AS CLASS_KEY_COUNT,
    COUNT(DISTINCT HASH(ENTITY, RANK)) AS RANK_KEY_COUNT,
    MAX(RANK) AS LONGEST,
    MIN(SCORE) AS LOWEST,
    MAX(SCORE) AS HIGHEST
FROM {{ postprocessed }}
