-- Counts over given bins. Run once, when a release sets bins of its own.
SELECT {{ histogram }}COUNT({{ value }}) AS VALUE_COUNT FROM {{ table }}
