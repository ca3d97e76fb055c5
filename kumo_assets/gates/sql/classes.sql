-- What is recommended: the most frequent classes, how often each is first, and the totals over all. One scan.
SELECT
    TO_VARCHAR(CLASS) AS CLASS,
    COUNT(*) AS SERVED,
    COUNT(*) OVER () AS CLASSES,
    SUM(COUNT(*)) OVER () AS TOTAL,
    MAX(COUNT_IF(RANK = 1)) OVER () AS MOST_FIRST
FROM {{ table }}
GROUP BY TO_VARCHAR(CLASS)
ORDER BY SERVED DESC, CLASS
LIMIT {{ most }}
