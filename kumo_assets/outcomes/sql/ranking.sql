-- Per entity of the sample: how its list, the fallback list and the list of the release before fared against what happened.
-- T is what was taken, each pair once; it is read once, and the lists are looked up in it: S the served ones, B those before,
-- F the fallback. One row of sums.
WITH S AS (
    SELECT {{ entity }} AS ENTITY, {{ class }} AS CLASS, RANK, LN(2) / LN(RANK + 1) AS GAIN FROM {{ served }} WHERE RANK <= {{ top_k }}
), B AS (
    SELECT {{ entity }} AS ENTITY, {{ class }} AS CLASS, RANK, LN(2) / LN(RANK + 1) AS GAIN FROM {{ before }} WHERE RANK <= {{ top_k }}
), T AS (
    SELECT DISTINCT ENTITY, CLASS FROM ({{ happened }}) H WHERE CLASS IS NOT NULL{{ only_sampled }}
), P AS (
    SELECT
        T.ENTITY,
        COUNT(*) AS RELEVANT,
        COUNT(S.RANK) AS O_HITS, SUM(S.GAIN) AS O_GAIN, MIN(S.RANK) AS O_BEST,
        COUNT(F.RANK) AS P_HITS, SUM(F.GAIN) AS P_GAIN, MIN(F.RANK) AS P_BEST,
        COUNT(B.RANK) AS B_HITS, SUM(B.GAIN) AS B_GAIN, MIN(B.RANK) AS B_BEST
    FROM T
    LEFT JOIN S ON T.ENTITY = S.ENTITY AND T.CLASS = S.CLASS
    LEFT JOIN B ON T.ENTITY = B.ENTITY AND T.CLASS = B.CLASS
    LEFT JOIN (SELECT CLASS, RANK, LN(2) / LN(RANK + 1) AS GAIN FROM ({{ fallback }}) V) F ON T.CLASS = F.CLASS
    GROUP BY T.ENTITY
), X AS (
    SELECT
        COALESCE(P.RELEVANT, 0) AS RELEVANT,
        {{ ideal }} AS IDEAL,
        COALESCE(P.O_HITS, 0) AS O_HITS, COALESCE(P.O_GAIN, 0) AS O_GAIN, P.O_BEST,
        {{ if_fallback }} COALESCE(P.P_HITS, 0), NULL) AS P_HITS, {{ if_fallback }} COALESCE(P.P_GAIN, 0), NULL) AS P_GAIN, P.P_BEST,
        IFF(W.ENTITY IS NULL, NULL, COALESCE(P.B_HITS, 0)) AS B_HITS,
        IFF(W.ENTITY IS NULL, NULL, COALESCE(P.B_GAIN, 0)) AS B_GAIN, P.B_BEST
    FROM (SELECT DISTINCT ENTITY FROM S) E
    LEFT JOIN P ON E.ENTITY = P.ENTITY
    LEFT JOIN (SELECT DISTINCT ENTITY FROM B) W ON E.ENTITY = W.ENTITY
), Y AS (
    SELECT
        RELEVANT,
        {{ figures }}
    FROM X
)
SELECT
    {{ moments }},
    COUNT_IF(RELEVANT > 0) AS ACTIVE,
    COUNT(*) AS ENTITY_COUNT
FROM Y
