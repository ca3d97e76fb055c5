-- A raw log's rows of one partition's day, and histograms of its watched columns of numbers. One scan of that day.
SELECT
    {{ histogram }}COUNT(*) AS ROW_COUNT, {{ units }} AS UNIT_COUNT, {{ newest }} AS NEWEST
FROM {{ table }}
WHERE {{ day }}
