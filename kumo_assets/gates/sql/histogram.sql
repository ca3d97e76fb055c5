-- Counts over given bins alone: asked once, when a release sets bins of its own.
SELECT {{ histogram }}COUNT({{ value }}) AS VALUE_COUNT FROM {{ table }}
