-- Two classes per entity with their probabilities, the predicted one first.
SELECT ENTITY, 'true' AS CLASS, {{ true_prob }} AS SCORE, IFF({{ predicted }}, 1, 2) AS RANK FROM {{ predictions }}
UNION ALL
SELECT ENTITY, 'false' AS CLASS, 1 - {{ true_prob }} AS SCORE, IFF({{ predicted }}, 2, 1) AS RANK FROM {{ predictions }}
