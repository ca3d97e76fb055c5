-- Counts over given bins, and of the values that are the median. Run once, when a release sets bins of its own.
SELECT {{ histogram }}COUNT_IF({{ alike }}) AS ALIKE, COUNT({{ value }}) AS VALUE_COUNT FROM {{ table }}
