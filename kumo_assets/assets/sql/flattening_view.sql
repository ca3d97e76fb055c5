SELECT
    {{ columns }}
FROM {{ landing }}
