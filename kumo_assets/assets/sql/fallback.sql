-- The classes recommended to most entities, with their share: what a service may show when it has nothing better.
SELECT TO_VARCHAR(CLASS) AS CLASS, COUNT(*) / SUM(COUNT(*)) OVER () AS SHARE
FROM {{ postprocessed }}
GROUP BY CLASS
ORDER BY COUNT(*) DESC, CLASS
LIMIT {{ size }}
