-- One number per entity.
SELECT ENTITY, TARGET_PRED FROM {{ predictions }}
