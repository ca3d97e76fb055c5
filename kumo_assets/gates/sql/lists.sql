-- The shape of the lists to be served, counted over entities, in one scan and one grouping.
SELECT
    COUNT(*) AS LISTS,
    COUNT_IF(LENGTH < {{ top_k }}) AS SHORT,
    COUNT_IF(LENGTH <> LAST_RANK OR FIRST_RANK <> 1) AS MISRANKED,
    COUNT_IF({{ rises }}) AS DISORDERED,
    MAX(LENGTH) AS LONGEST,
    MIN(LOW) AS LOWEST,
    MAX(HIGH) AS HIGHEST
FROM (
    SELECT
        ENTITY, COUNT(*) AS LENGTH, MIN(RANK) AS FIRST_RANK, MAX(RANK) AS LAST_RANK,
        MIN(SCORE) AS LOW, MAX(SCORE) AS HIGH{{ scores }}
    FROM {{ table }}
    GROUP BY ENTITY
)
