-- One row of sums over the entities.
WITH X AS (
    {{ entities }}
), Y AS (
    SELECT
        ENTITY,
        {{ figures }}
    FROM X
)
SELECT
    {{ moments }},
    COUNT(*) AS ACTIVE,
    COUNT(DISTINCT ENTITY) AS ENTITY_COUNT
FROM Y
