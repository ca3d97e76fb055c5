-- Whether everybody gets the same probabilities: of a sample of entities, how many scores are their class's median. A
-- class of few says nothing: the score of its only entity is its median. And how many of these entities are predicted a
-- class that is not their likeliest.
WITH S AS (
    SELECT ENTITY, CLASS, SCORE, PREDICTED AS CHOSEN FROM {{ table }} WHERE MOD(HASH(ENTITY), {{ sample }}) = 0
), M AS (
    SELECT CLASS, MEDIAN(SCORE) AS MIDDLE FROM S GROUP BY CLASS HAVING COUNT(*) >= {{ few }}
), A AS (
    SELECT COUNT(*) AS SCORES, COUNT_IF(ABS(S.SCORE - M.MIDDLE) <= {{ hair }} * ABS(M.MIDDLE)) AS ALIKE
    FROM S JOIN M ON S.CLASS = M.CLASS
), E AS (
    SELECT ENTITY, MAX(SCORE) AS HIGHEST, MAX(IFF(CHOSEN, SCORE, NULL)) AS PREDICTED FROM S GROUP BY ENTITY
), D AS (
    SELECT COUNT(*) AS DECIDED, COUNT_IF(PREDICTED < HIGHEST - {{ hair }}) AS CONTRADICTED FROM E
)
SELECT A.SCORES, A.ALIKE, D.DECIDED, D.CONTRADICTED FROM A CROSS JOIN D
