-- One row per entity: `e` the entity, `p` the ranked list as compact JSON, [["class",score],...].
-- LISTAGG over TO_JSON of each class escapes quotes, backslashes and control characters as JSON wants, on Snowflake
-- and on the sandbox alike. The score has every digit. Not ordered by entity: a sorted file makes ImportTable write one
-- hot partition at a time.
SELECT
    TO_VARCHAR(ENTITY) AS "e",
    '[' || LISTAGG('[' || TO_JSON(TO_VARIANT(TO_VARCHAR(CLASS))) || ',' || {{ score }} || ']', ',')
        WITHIN GROUP (ORDER BY RANK) || ']' AS "p"
FROM {{ postprocessed }}
GROUP BY ENTITY
