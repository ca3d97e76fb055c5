-- One row per entity: `e` the entity, `p` the predicted number as JSON, with every digit of it.
SELECT TO_VARCHAR(ENTITY) AS "e", {{ score }} AS "p" FROM {{ postprocessed }}
