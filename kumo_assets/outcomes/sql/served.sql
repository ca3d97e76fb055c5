-- The rows of the entities whose hash is below a threshold. As text, so that an entity is in every release's sample or in
-- none, whatever the type of the column.
SELECT * FROM {{ postprocessed }}
WHERE MOD(ABS(HASH(TO_VARCHAR(ENTITY))), {{ all_parts }}) < {{ parts }}
