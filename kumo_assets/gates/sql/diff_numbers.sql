-- The numbers that two releases predict, entity by entity, for a sample of entities. One scan of each.
WITH O AS (
    SELECT {{ entity }} AS ENTITY, TARGET_PRED FROM {{ before }} WHERE MOD(HASH({{ entity }}), {{ sample }}) = 0
), N AS (
    SELECT {{ entity }} AS ENTITY, TARGET_PRED FROM {{ after }} WHERE MOD(HASH({{ entity }}), {{ sample }}) = 0
)
SELECT
    COUNT(O.ENTITY) AS BEFORE_ENTITIES,
    COUNT(N.ENTITY) AS AFTER_ENTITIES,
    COUNT_IF(N.ENTITY IS NULL) AS LOST,
    COUNT_IF(O.ENTITY IS NULL) AS GAINED,
    COUNT_IF(O.TARGET_PRED = N.TARGET_PRED) AS UNCHANGED,
    AVG(N.TARGET_PRED - O.TARGET_PRED) AS CHANGE,
    AVG(ABS(N.TARGET_PRED - O.TARGET_PRED)) AS ABSOLUTE
FROM O FULL OUTER JOIN N ON O.ENTITY = N.ENTITY
