-- Names of a few classes, from the catalogue.
SELECT TO_VARCHAR({{ column }}) AS ITEM, MIN(TO_VARCHAR({{ label }})) AS NAME
FROM {{ catalogue }} WHERE TO_VARCHAR({{ column }}) IN ({{ items }}) GROUP BY 1
