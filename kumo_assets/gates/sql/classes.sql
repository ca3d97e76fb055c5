-- What is recommended: the most frequent classes, and those most often first, with the totals over all and the lowest
-- and highest score. One scan.
SELECT
    CLASS, SERVED, FIRSTS, IS_UNKNOWN, CLASSES, TOTAL, MOST_FIRST, UNKNOWN, UNKNOWN_CLASSES, LOWEST, HIGHEST
FROM (
    SELECT
        C.CLASS,
        C.SERVED,
        C.FIRSTS,
        {{ unknown }} AS IS_UNKNOWN,
        COUNT(*) OVER () AS CLASSES,
        SUM(C.SERVED) OVER () AS TOTAL,
        MAX(C.FIRSTS) OVER () AS MOST_FIRST,
        SUM({{ unknown }} * C.SERVED) OVER () AS UNKNOWN,
        SUM({{ unknown }}) OVER () AS UNKNOWN_CLASSES,
        MIN(C.LOW) OVER () AS LOWEST,
        MAX(C.HIGH) OVER () AS HIGHEST,
        ROW_NUMBER() OVER (ORDER BY C.SERVED DESC, C.CLASS) AS BY_SERVED,
        ROW_NUMBER() OVER (ORDER BY C.FIRSTS DESC, C.CLASS) AS BY_FIRSTS,
        ROW_NUMBER() OVER (ORDER BY {{ unknown }} DESC, C.SERVED DESC, C.CLASS) AS BY_UNKNOWN
    FROM (
        SELECT TO_VARCHAR(CLASS) AS CLASS, SERVED, FIRSTS, LOW, HIGH
        FROM (
            SELECT CLASS, COUNT(*) AS SERVED, COUNT_IF(RANK = 1) AS FIRSTS, MIN(SCORE) AS LOW, MAX(SCORE) AS HIGH
            FROM {{ table }}
            GROUP BY CLASS
        )
    ) C
    {{ join }}
)
WHERE BY_SERVED <= {{ most }} OR BY_FIRSTS <= {{ most }} OR (IS_UNKNOWN = 1 AND BY_UNKNOWN <= 5)
ORDER BY SERVED DESC, CLASS
