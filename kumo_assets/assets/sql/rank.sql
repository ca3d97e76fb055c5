-- The top k of each entity, best first. Ties are broken by CLASS, so the same predictions give the same list.
SELECT
    ENTITY,
    CLASS,
    SCORE,
    ROW_NUMBER() OVER (PARTITION BY ENTITY ORDER BY SCORE DESC, CLASS) AS RANK
FROM {{ predictions }}
QUALIFY RANK <= {{ top_k }}
