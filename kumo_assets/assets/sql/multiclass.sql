-- The predicted class first, then the others by probability. PREDICTED marks the class Kumo chose.
SELECT
    ENTITY,
    CLASS,
    SCORE,
    ROW_NUMBER() OVER (PARTITION BY ENTITY ORDER BY IFF(PREDICTED, 0, 1), SCORE DESC, CLASS) AS RANK
FROM {{ predictions }}
QUALIFY RANK <= {{ top_k }}
