-- The same few entities whenever it is asked for one release: by a hash salted with the release id.
SELECT ENTITY FROM {{ postprocessed }} GROUP BY ENTITY ORDER BY MD5(TO_VARCHAR(ENTITY) || {{ salt }}) LIMIT {{ size }}
