-- The most frequent values of one watched column of text in the partition's day.
SELECT TO_VARCHAR({{ column }}) AS "VALUE", COUNT(*) AS SEEN
FROM {{ table }}
WHERE {{ day }}
GROUP BY TO_VARCHAR({{ column }})
ORDER BY SEEN DESC, "VALUE"
LIMIT {{ most }}
