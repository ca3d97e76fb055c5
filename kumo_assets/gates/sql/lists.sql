-- The shape of the lists to be served, counted over entities, in one scan and one grouping. S1, S2, ... are the scores
-- at each rank: a list of n is ranked 1 to n when exactly the first n are not null. The bounds of scores are taken in
-- classes.sql, where they cost nothing.
SELECT
    COUNT(*) AS LISTS,
    COUNT_IF(LENGTH < {{ full }}) AS SHORT,
    COUNT_IF({{ gaps }}) AS MISRANKED,
    COUNT_IF({{ rises }}) AS DISORDERED,
    MAX(LENGTH) AS LONGEST
FROM (
    SELECT ENTITY, COUNT(*) AS LENGTH{{ scores }}
    FROM {{ table }}
    GROUP BY ENTITY
)
