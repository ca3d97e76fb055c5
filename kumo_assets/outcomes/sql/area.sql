-- Sums of placements, for positives and for negatives: of each positive the share of negatives it beats, of each negative
-- the share of positives that beat it, ties counting half (mid-ranks). O over all; C (own) and B (before) over the
-- entities that both releases have, D their difference.
WITH X AS (
    {{ entities }}
), R AS (
    SELECT
        Y,
        B IS NOT NULL AS PAIRED,
        RANK() OVER (ORDER BY O) + (COUNT(*) OVER (PARTITION BY O) - 1) / 2 AS O_ALL,
        RANK() OVER (PARTITION BY Y ORDER BY O) + (COUNT(*) OVER (PARTITION BY Y, O) - 1) / 2 AS O_KIND,
        RANK() OVER (PARTITION BY B IS NOT NULL ORDER BY O)
            + (COUNT(*) OVER (PARTITION BY B IS NOT NULL, O) - 1) / 2 AS C_ALL,
        RANK() OVER (PARTITION BY B IS NOT NULL, Y ORDER BY O)
            + (COUNT(*) OVER (PARTITION BY B IS NOT NULL, Y, O) - 1) / 2 AS C_KIND,
        RANK() OVER (PARTITION BY B IS NOT NULL ORDER BY B)
            + (COUNT(*) OVER (PARTITION BY B IS NOT NULL, B) - 1) / 2 AS B_ALL,
        RANK() OVER (PARTITION BY B IS NOT NULL, Y ORDER BY B)
            + (COUNT(*) OVER (PARTITION BY B IS NOT NULL, Y, B) - 1) / 2 AS B_KIND,
        NULLIF(SUM(1 - Y) OVER () * Y + SUM(Y) OVER () * (1 - Y), 0) AS OTHERS,
        NULLIF(SUM(1 - Y) OVER (PARTITION BY B IS NOT NULL) * Y + SUM(Y) OVER (PARTITION BY B IS NOT NULL) * (1 - Y), 0)
            AS OTHERS_PAIRED
    FROM X
), V AS (
    SELECT
        Y,
        IFF(Y = 1, (O_ALL - O_KIND)::FLOAT / OTHERS, 1 - (O_ALL - O_KIND)::FLOAT / OTHERS) AS O,
        IFF(PAIRED, IFF(Y = 1, (C_ALL - C_KIND)::FLOAT / OTHERS_PAIRED, 1 - (C_ALL - C_KIND)::FLOAT / OTHERS_PAIRED), NULL) AS C,
        IFF(PAIRED, IFF(Y = 1, (B_ALL - B_KIND)::FLOAT / OTHERS_PAIRED, 1 - (B_ALL - B_KIND)::FLOAT / OTHERS_PAIRED), NULL) AS B
    FROM R
)
SELECT Y, {{ moments }}
FROM (SELECT Y, O, B, C - B AS D FROM V) V
GROUP BY Y
