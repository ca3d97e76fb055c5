-- One row per entity: `e` the entity, `p` the predicted number as JSON.
SELECT TO_VARCHAR(ENTITY) AS "e", TO_VARCHAR(TARGET_PRED) AS "p" FROM {{ postprocessed }}
