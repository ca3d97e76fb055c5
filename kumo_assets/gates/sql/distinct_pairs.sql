-- Distinct keys, exactly: asked only when their hashes were fewer than the rows.
SELECT COUNT(*) AS KEY_COUNT FROM (SELECT DISTINCT ENTITY, CLASS FROM {{ table }})
