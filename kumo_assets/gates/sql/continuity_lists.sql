-- The active release's lists against the new ones, for a sample of entities that a hash chooses alike in both tables:
-- entities lost, entries compared and changed. One scan of each table.
WITH N AS (
    SELECT {{ entity }} AS ENTITY, {{ class }} AS CLASS FROM {{ table }} WHERE MOD(HASH({{ entity }}), {{ sample }}) = 0
)
SELECT
    COUNT(*) AS OLD_ENTITIES,
    COUNT_IF(E.ENTITY IS NULL) AS LOST,
    SUM(IFF(E.ENTITY IS NULL, 0, L.LENGTH)) AS ENTRIES,
    SUM(IFF(E.ENTITY IS NULL, 0, L.LENGTH - L.SHARED)) AS CHANGED
FROM (
    SELECT O.ENTITY, COUNT(*) AS LENGTH, COUNT(N.CLASS) AS SHARED
    FROM (
        SELECT {{ entity }} AS ENTITY, {{ class }} AS CLASS
        FROM {{ active }}
        WHERE MOD(HASH({{ entity }}), {{ sample }}) = 0
    ) O
    LEFT JOIN N ON O.ENTITY = N.ENTITY AND O.CLASS = N.CLASS
    GROUP BY O.ENTITY
) L
LEFT JOIN (SELECT DISTINCT ENTITY FROM N) E ON L.ENTITY = E.ENTITY
