-- How much of the catalogue the lists of the sample show: its distinct classes, and those of them that are in a list.
SELECT COUNT(*) AS CATALOGUE, COUNT(S.CLASS) AS SHOWN
FROM (SELECT DISTINCT TO_VARCHAR(CLASS) AS CLASS FROM ({{ catalogue }}) C WHERE CLASS IS NOT NULL) C
LEFT JOIN (SELECT DISTINCT TO_VARCHAR(CLASS) AS CLASS FROM {{ served }} WHERE RANK <= {{ top_k }}) S ON C.CLASS = S.CLASS
