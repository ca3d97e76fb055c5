-- The active release's lists against the new ones, for a sample of entities that a hash chooses alike in both tables:
-- entities lost, entries compared and changed.
SELECT
    COUNT(*) AS OLD_ENTITIES,
    COUNT_IF(SEEN = 0) AS LOST,
    SUM(IFF(SEEN > 0, LENGTH, 0)) AS ENTRIES,
    SUM(IFF(SEEN > 0, LENGTH - SHARED, 0)) AS CHANGED
FROM (
    SELECT O.ENTITY, COUNT(*) AS LENGTH, COUNT(N.CLASS) AS SHARED, MAX(IFF(E.ENTITY IS NULL, 0, 1)) AS SEEN
    FROM (SELECT ENTITY, CLASS FROM {{ active }} WHERE MOD(HASH(ENTITY), {{ sample }}) = 0) O
    LEFT JOIN (SELECT ENTITY, CLASS FROM {{ table }} WHERE MOD(HASH(ENTITY), {{ sample }}) = 0) N
        ON O.ENTITY = N.ENTITY AND O.CLASS = N.CLASS
    LEFT JOIN (SELECT DISTINCT ENTITY FROM {{ table }} WHERE MOD(HASH(ENTITY), {{ sample }}) = 0) E
        ON O.ENTITY = E.ENTITY
    GROUP BY O.ENTITY
)
