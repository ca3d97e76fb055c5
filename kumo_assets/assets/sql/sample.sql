-- The same few entities whenever it is asked for one release: by a hash salted with the release id. Of many entities one
-- in {{ one_in }} is looked at, which leaves several times the few and spares the sorting of all.
SELECT ENTITY
FROM {{ postprocessed }}
WHERE MOD(HASH(ENTITY, {{ salt }}), {{ one_in }}) = 0
GROUP BY ENTITY
ORDER BY HASH(ENTITY, {{ salt }})
LIMIT {{ size }}
