-- Per entity of the sample: how its list, the fallback list and the list of the release before fared against what happened.
-- S the served lists, T what was taken (each pair once), F the fallback list, B the lists before. One row of sums.
WITH S AS (
    SELECT {{ entity }} AS ENTITY, {{ class }} AS CLASS, RANK FROM {{ served }} WHERE RANK <= {{ top_k }}
), T AS (
    SELECT DISTINCT ENTITY, CLASS
    FROM ({{ happened }}) H
    WHERE ENTITY IN (SELECT ENTITY FROM S) AND CLASS IS NOT NULL
), O AS (
    SELECT
        S.ENTITY,
        COUNT(T.CLASS) AS HITS,
        SUM(IFF(T.CLASS IS NULL, 0, LN(2) / LN(S.RANK + 1))) AS GAIN,
        MIN(IFF(T.CLASS IS NULL, NULL, S.RANK)) AS BEST
    FROM S
    LEFT JOIN T ON S.ENTITY = T.ENTITY AND S.CLASS = T.CLASS
    GROUP BY S.ENTITY
), P AS (
    SELECT
        T.ENTITY,
        COUNT(*) AS RELEVANT,
        COUNT(F.CLASS) AS HITS,
        SUM(IFF(F.CLASS IS NULL, 0, LN(2) / LN(F.RANK + 1))) AS GAIN,
        MIN(F.RANK) AS BEST
    FROM T
    LEFT JOIN ({{ fallback }}) F ON TO_VARCHAR(T.CLASS) = F.CLASS
    GROUP BY T.ENTITY
), B AS (
    SELECT
        B.ENTITY,
        COUNT(T.CLASS) AS HITS,
        SUM(IFF(T.CLASS IS NULL, 0, LN(2) / LN(B.RANK + 1))) AS GAIN,
        MIN(IFF(T.CLASS IS NULL, NULL, B.RANK)) AS BEST
    FROM (
        SELECT {{ entity }} AS ENTITY, {{ class }} AS CLASS, RANK FROM {{ before }} WHERE RANK <= {{ top_k }}
    ) B
    LEFT JOIN T ON B.ENTITY = T.ENTITY AND B.CLASS = T.CLASS
    GROUP BY B.ENTITY
), X AS (
    SELECT
        O.ENTITY,
        COALESCE(P.RELEVANT, 0) AS RELEVANT,
        {{ ideal }} AS IDEAL,
        O.HITS AS O_HITS, O.GAIN AS O_GAIN, O.BEST AS O_BEST,
        {{ if_fallback }} COALESCE(P.HITS, 0), NULL) AS P_HITS,
        {{ if_fallback }} COALESCE(P.GAIN, 0), NULL) AS P_GAIN,
        P.BEST AS P_BEST,
        B.HITS AS B_HITS, B.GAIN AS B_GAIN, B.BEST AS B_BEST
    FROM O
    LEFT JOIN P ON O.ENTITY = P.ENTITY
    LEFT JOIN B ON O.ENTITY = B.ENTITY
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
