-- Distinct pairs, exactly: asked only when their hashes were fewer than the rows. A hash may collide (about 3 in a
-- million at 10 M rows), so that "every pair once" is certain from hashes and "a pair twice" is not.
SELECT C.PAIRS AS CLASS_KEY_COUNT, R.PAIRS AS RANK_KEY_COUNT
FROM (SELECT COUNT(*) AS PAIRS FROM (SELECT DISTINCT ENTITY, CLASS FROM {{ postprocessed }})) C
CROSS JOIN (SELECT COUNT(*) AS PAIRS FROM (SELECT DISTINCT ENTITY, RANK FROM {{ postprocessed }})) R
