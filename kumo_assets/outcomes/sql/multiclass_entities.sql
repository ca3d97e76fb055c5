-- One row per entity of the sample that has a value: whether the class predicted was right (HIT) and the probability that
-- was given to the right one (Q), for this release (O), for the shares of predicted classes (P) and the release before (B).
WITH H AS (
    SELECT TO_VARCHAR(ENTITY) AS ENTITY, TO_VARCHAR(VALUE) AS Y FROM ({{ happened }}) H WHERE VALUE IS NOT NULL
), SHARES AS (
    SELECT
        TO_VARCHAR(CLASS) AS CLASS,
        COUNT(*)::FLOAT / SUM(COUNT(*)) OVER () AS SHARE,
        ROW_NUMBER() OVER (ORDER BY COUNT(*) DESC, TO_VARCHAR(CLASS)) AS PLACE
    FROM {{ served }}
    WHERE RANK = 1
    GROUP BY 1
), O AS (
    SELECT H.ENTITY, H.Y, MAX(IFF(S.RANK = 1 AND TO_VARCHAR(S.CLASS) = H.Y, 1, 0)) AS HIT,
        MAX(IFF(TO_VARCHAR(S.CLASS) = H.Y, S.SCORE, 0)) AS Q, COUNT_IF(S.RANK = 1) AS FIRSTS
    FROM {{ served }} S JOIN H ON TO_VARCHAR(S.ENTITY) = H.ENTITY
    GROUP BY H.ENTITY, H.Y
), B AS (
    SELECT H.ENTITY, MAX(IFF(S.RANK = 1 AND TO_VARCHAR(S.CLASS) = H.Y, 1, 0)) AS HIT,
        MAX(IFF(TO_VARCHAR(S.CLASS) = H.Y, S.SCORE, 0)) AS Q
    FROM {{ before }} S JOIN H ON TO_VARCHAR(S.ENTITY) = H.ENTITY
    GROUP BY H.ENTITY
)
SELECT
    O.ENTITY,
    O.HIT AS O_HIT, O.Q AS O_Q,
    IFF(SHARES.PLACE = 1, 1, 0) AS P_HIT, COALESCE(SHARES.SHARE, 0) AS P_Q,
    B.HIT AS B_HIT, B.Q AS B_Q
FROM O
LEFT JOIN SHARES ON SHARES.CLASS = O.Y
LEFT JOIN B ON O.ENTITY = B.ENTITY
