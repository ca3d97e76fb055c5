-- Deciles, from a sample of entities: asked once, when there are no bins to compare over.
SELECT {{ quantiles }} FROM {{ table }} WHERE {{ where }}
