-- An own gate in SQL: every list should show a choice. Copy to defs/<query>/gates/basket_departments.sql.
-- Passes while at most 10% of lists come from one department alone. One row: PASSED, VALUE, MESSAGE; further columns
-- become evidence. Other placeholders: {{ predictions }}, {{ active_predictions }}, {{ active_postprocessed }} (without
-- an active release the gate passes as a bootstrap), {{ partition }}, {{ release }}, {{ top_k }}, {{ schema }}.
SELECT
    COALESCE(AVG(IFF(DEPARTMENTS = 1, 1, 0)), 1) <= 0.10 AS PASSED,
    AVG(IFF(DEPARTMENTS = 1, 1, 0)) AS VALUE,
    COUNT_IF(DEPARTMENTS = 1) || ' of ' || COUNT(*) || ' lists are of one department' AS MESSAGE,
    COUNT(*) AS LISTS
FROM (
    SELECT L.ENTITY, COUNT(DISTINCT P.DEPARTMENT) AS DEPARTMENTS
    FROM {{ postprocessed }} L JOIN {{ database }}."RAW"."PRODUCTS" P ON P.PRODUCT_ID = L.CLASS
    GROUP BY L.ENTITY
)
