SELECT
    attributes || pg_catalog.array_agg('extra.' || named.key ORDER BY named.key),
    old_values || pg_catalog.array_agg({old} -> named.key ORDER BY named.key),
    new_values || pg_catalog.array_agg({new} -> named.key ORDER BY named.key)
INTO attributes, old_values, new_values
FROM pg_catalog.jsonb_object_keys(coalesce({old}, '{}') || coalesce({new}, '{}')) AS named (key)
-- 5 and 5.0 are equal, and not the same.
WHERE ({old} -> named.key)::text IS DISTINCT FROM ({new} -> named.key)::text;
