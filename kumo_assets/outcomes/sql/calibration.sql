-- Tenths of the entities by what was predicted: the sums of predictions and of what happened in each.
WITH X AS (
    {{ entities }}
), N AS (
    SELECT O, Y, NTILE(10) OVER (ORDER BY O, ENTITY) AS BIN FROM X
)
SELECT BIN, SUM(O) AS P_S, COUNT(Y) AS Y_N, SUM(Y) AS Y_S, SUM(Y * Y) AS Y_Q
FROM N
GROUP BY BIN
ORDER BY BIN
