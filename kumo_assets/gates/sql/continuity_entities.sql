-- The active release's entities against the new ones, where there is one row per entity, for a sample of entities.
SELECT COUNT(*) AS OLD_ENTITIES, COUNT_IF(N.ENTITY IS NULL) AS LOST, 0 AS ENTRIES, 0 AS CHANGED
FROM (SELECT DISTINCT {{ entity }} AS ENTITY FROM {{ active }} WHERE MOD(HASH({{ entity }}), {{ sample }}) = 0) O
LEFT JOIN (SELECT DISTINCT {{ entity }} AS ENTITY FROM {{ table }} WHERE MOD(HASH({{ entity }}), {{ sample }}) = 0) N
    ON O.ENTITY = N.ENTITY
