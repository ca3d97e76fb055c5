-- A few entities, chosen by a hash, with what each of two releases predicts for them: the only rows of a diff that are
-- fetched.
WITH B AS (
    SELECT 0 AS SIDE, TO_VARCHAR(ENTITY) AS ENTITY, {{ class }} AS CLASS, {{ value }} AS SCORE, {{ rank }} AS RANK
    FROM {{ before }} WHERE MOD(HASH({{ entity }}), {{ sample }}) = 0
    UNION ALL
    SELECT 1 AS SIDE, TO_VARCHAR(ENTITY) AS ENTITY, {{ class }} AS CLASS, {{ value }} AS SCORE, {{ rank }} AS RANK
    FROM {{ after }} WHERE MOD(HASH({{ entity }}), {{ sample }}) = 0
), C AS (
    SELECT ENTITY, HASH(ENTITY) AS CHOICE FROM B GROUP BY ENTITY ORDER BY CHOICE, ENTITY LIMIT {{ most }}
)
SELECT B.SIDE, B.ENTITY, B.CLASS, B.SCORE FROM B JOIN C ON B.ENTITY = C.ENTITY ORDER BY C.CHOICE, B.ENTITY, B.SIDE, B.RANK
