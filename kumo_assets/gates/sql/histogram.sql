-- Counts over given bins alone: asked once, when a release sets bins of its own.
SELECT {{ histogram }} FROM {{ table }}
