-- Distinct keys, exactly. Run only when there were fewer distinct hashes than rows.
SELECT COUNT(*) AS KEY_COUNT FROM (SELECT DISTINCT ENTITY, CLASS FROM {{ table }})
