-- How much of the catalogue the lists of the sample show: its distinct classes, and those of them that are in a list.
SELECT COUNT(*) AS CATALOGUE, COUNT(S.CLASS) AS SHOWN
FROM (
    SELECT TO_VARCHAR(CLASS) AS CLASS FROM (SELECT DISTINCT CLASS FROM ({{ catalogue }}) C WHERE CLASS IS NOT NULL) C
) C
LEFT JOIN (
    SELECT TO_VARCHAR(CLASS) AS CLASS FROM (SELECT DISTINCT CLASS FROM {{ served }} WHERE RANK <= {{ top_k }}) S
) S ON C.CLASS = S.CLASS
