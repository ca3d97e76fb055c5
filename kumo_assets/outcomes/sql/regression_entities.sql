-- One row per entity of the sample that has a value: the prediction (O), that of the release before (B), the mean of all
-- predictions (P), and what happened (Y).
SELECT TO_VARCHAR(S.ENTITY) AS ENTITY, S.TARGET_PRED AS O, H.Y, B.TARGET_PRED AS B, AVG(S.TARGET_PRED) OVER () AS P
FROM {{ served }} S
JOIN (
    SELECT TO_VARCHAR(ENTITY) AS ENTITY, VALUE::FLOAT AS Y FROM ({{ happened }}) H WHERE VALUE IS NOT NULL
) H ON TO_VARCHAR(S.ENTITY) = H.ENTITY
LEFT JOIN {{ before }} B ON TO_VARCHAR(B.ENTITY) = H.ENTITY
