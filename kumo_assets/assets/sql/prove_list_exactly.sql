-- Distinct pairs, exactly: asked only when prove_list.sql suspects a list, which gaps in its ranks are enough for.
SELECT C.PAIRS AS CLASS_KEY_COUNT, R.PAIRS AS RANK_KEY_COUNT
FROM (SELECT COUNT(*) AS PAIRS FROM (SELECT DISTINCT ENTITY, CLASS FROM {{ postprocessed }})) C
CROSS JOIN (SELECT COUNT(*) AS PAIRS FROM (SELECT DISTINCT ENTITY, RANK FROM {{ postprocessed }})) R
