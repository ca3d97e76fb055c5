-- The active release's entities against the new ones, where there is one row per entity.
SELECT COUNT(*) AS OLD_ENTITIES, COUNT_IF(N.ENTITY IS NULL) AS LOST, 0 AS ENTRIES, 0 AS CHANGED
FROM (SELECT DISTINCT ENTITY FROM {{ active }}) O
LEFT JOIN (SELECT DISTINCT ENTITY FROM {{ table }}) N ON O.ENTITY = N.ENTITY
