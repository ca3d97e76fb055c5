-- One row per entity of the sample that has a value: the probability of true that was served (O), that of the release
-- before (B), the mean of all (P), and what happened (Y, 1 or 0).
SELECT S.ENTITY, S.O, IFF(LOWER(TO_VARCHAR(H.VALUE)) IN ('true', 't', 'yes', 'y', '1', '1.0'), 1, 0) AS Y, B.B, AVG(S.O) OVER () AS P
FROM (
    SELECT TO_VARCHAR(ENTITY) AS ENTITY, MAX(SCORE) AS O
    FROM {{ served }} WHERE LOWER(TO_VARCHAR(CLASS)) = 'true' GROUP BY 1
) S
JOIN ({{ happened }}) H ON S.ENTITY = TO_VARCHAR(H.ENTITY) AND H.VALUE IS NOT NULL
LEFT JOIN (
    SELECT TO_VARCHAR(ENTITY) AS ENTITY, MAX(SCORE) AS B
    FROM {{ before }} WHERE LOWER(TO_VARCHAR(CLASS)) = 'true' GROUP BY 1
) B ON S.ENTITY = B.ENTITY
