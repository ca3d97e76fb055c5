-- Deciles, from a sample of entities. Run once, when there are no bins to compare over.
SELECT {{ quantiles }} FROM {{ table }} WHERE {{ where }}
