("new"."name" = 'a' AND "new"."number" > 1)

NOT ((UPPER("new"."name"::text) LIKE UPPER(E'%50\\%''%') AND "new"."name" IS NOT NULL) OR "new"."number" IS NULL)

(("new"."number" = 1 OR "new"."is_open") AND 1 = (CASE WHEN "new"."number" = 1 THEN 1 ELSE 0 END + CASE WHEN "new"."is_open" THEN 1 ELSE 0 END))

"new"."name"::text LIKE REPLACE(REPLACE(REPLACE(("new"."code"), E'\\', E'\\\\'), E'%', E'\\%'), E'_', E'\\_') || '%'

"new"."name"::text ~* '^a'

("new"."name" IN ('a') AND "new"."number" BETWEEN 1 AND "new"."id")

"new"."number" IN (1, "new"."id")

false

true

true

"new"."number" = (CASE WHEN "new"."name" = 'x' THEN 1 WHEN "new"."is_open" THEN "new"."number" ELSE 3 END)

"new"."number" = (COALESCE(((2 * "new"."number") - 1), 7))

"new"."number" > (LENGTH("new"."name"))

"new"."name" = (LOWER((COALESCE("new"."code", '') || COALESCE((COALESCE('-', '') || COALESCE("new"."code", '')), ''))))

"new"."name" = ("new"."number")::text

"new"."at" < (STATEMENT_TIMESTAMP() - '3 days 0:00:00'::interval)

"new"."at" > (DATE_TRUNC('day', STATEMENT_TIMESTAMP() AT TIME ZONE 'America/Chicago'))

(("new"."at" AT TIME ZONE 'America/Chicago')::date = '2026-01-01'::date AND "new"."at" >= '2020-01-01 00:00:00-06:00'::timestamptz)

"new"."number" = (EXTRACT(YEAR FROM "new"."at" AT TIME ZONE 'America/Chicago'))

(("new"."data" #> '{a,b}') = '1'::jsonb OR ("new"."data" -> 'a') = 'null'::jsonb OR "new"."data" ?& '{a,b}' OR "new"."data" @> '{"a": ["%"]}'::jsonb)

(UPPER(("new"."data" ->> 'a')::text) LIKE UPPER('%x%') AND ("new"."data" -> 'a') IN ('"x"'::jsonb, '1'::jsonb))

("new"."data" = (JSONB_BUILD_OBJECT(('a')::text, "new"."name")) AND "new"."name" = ("new"."data" #>> '{a,b}'))

"new"."is_open" = ("new"."number" > 3)

"new"."is_open" = ("new"."number" IS NULL)

"new"."number" = (SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb -> 'app' ->> 'number'))

UPPER("new"."name"::text) = UPPER((SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb -> '50%''s' ->> 'e%mail')))

("new"."data" -> 'owner') = (SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub'))

"new"."number" IN ((SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'first')), 3)

"new"."codes" @> (ARRAY['a'])::text[]

(("new"."codes")[1] = 'x' AND CASE WHEN "new"."codes" IS NULL THEN NULL ELSE coalesce(array_length("new"."codes", 1), 0) END = 2)

"new"."codes" && (ARRAY['a', 'b'])::text[]

(((new.data)."name") = 'a' AND ((new.data)."number") > 1)

NOT ((UPPER(((new.data)."name")::text) LIKE UPPER(E'%50\\%''%') AND ((new.data)."name") IS NOT NULL) OR ((new.data)."number") IS NULL)

((((new.data)."number") = 1 OR ((new.data)."is_open")) AND 1 = (CASE WHEN ((new.data)."number") = 1 THEN 1 ELSE 0 END + CASE WHEN ((new.data)."is_open") THEN 1 ELSE 0 END))

((new.data)."name")::text LIKE REPLACE(REPLACE(REPLACE(((new.data)."code"), E'\\', E'\\\\'), E'%', E'\\%'), E'_', E'\\_') || '%'

((new.data)."name")::text ~* '^a'

(((new.data)."name") IN ('a') AND ((new.data)."number") BETWEEN 1 AND (new."id"))

((new.data)."number") IN (1, (new."id"))

false

true

true

((new.data)."number") = (CASE WHEN ((new.data)."name") = 'x' THEN 1 WHEN ((new.data)."is_open") THEN ((new.data)."number") ELSE 3 END)

((new.data)."number") = (COALESCE(((2 * ((new.data)."number")) - 1), 7))

((new.data)."number") > (LENGTH(((new.data)."name")))

((new.data)."name") = (LOWER((COALESCE(((new.data)."code"), '') || COALESCE((COALESCE('-', '') || COALESCE(((new.data)."code"), '')), ''))))

((new.data)."name") = (((new.data)."number"))::text

((new.data)."at") < (STATEMENT_TIMESTAMP() - '3 days 0:00:00'::interval)

((new.data)."at") > (DATE_TRUNC('day', STATEMENT_TIMESTAMP() AT TIME ZONE 'America/Chicago'))

((((new.data)."at") AT TIME ZONE 'America/Chicago')::date = '2026-01-01'::date AND ((new.data)."at") >= '2020-01-01 00:00:00-06:00'::timestamptz)

((new.data)."number") = (EXTRACT(YEAR FROM ((new.data)."at") AT TIME ZONE 'America/Chicago'))

((((new.data)."data") #> '{a,b}') = '1'::jsonb OR (((new.data)."data") -> 'a') = 'null'::jsonb OR ((new.data)."data") ?& '{a,b}' OR ((new.data)."data") @> '{"a": ["%"]}'::jsonb)

(UPPER((((new.data)."data") ->> 'a')::text) LIKE UPPER('%x%') AND (((new.data)."data") -> 'a') IN ('"x"'::jsonb, '1'::jsonb))

(((new.data)."data") = (JSONB_BUILD_OBJECT(('a')::text, ((new.data)."name"))) AND ((new.data)."name") = (((new.data)."data") #>> '{a,b}'))

((new.data)."is_open") = (((new.data)."number") > 3)

((new.data)."is_open") = (((new.data)."number") IS NULL)

((new.data)."number") = (SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb -> 'app' ->> 'number'))

UPPER(((new.data)."name")::text) = UPPER((SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb -> '50%''s' ->> 'e%mail')))

(((new.data)."data") -> 'owner') = (SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub'))

((new.data)."number") IN ((SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'first')), 3)

("name" = 'a' AND "number" > 1)

NOT ((UPPER("name"::text) LIKE UPPER(E'%50\\%''%') AND "name" IS NOT NULL) OR "number" IS NULL)

(("number" = 1 OR "is_open") AND 1 = (CASE WHEN "number" = 1 THEN 1 ELSE 0 END + CASE WHEN "is_open" THEN 1 ELSE 0 END))

"name"::text LIKE REPLACE(REPLACE(REPLACE(("code"), E'\\', E'\\\\'), E'%', E'\\%'), E'_', E'\\_') || '%'

"name"::text ~* '^a'

("name" IN ('a') AND "number" BETWEEN 1 AND "id")

"number" IN (1, "id")

false

true

true

"number" = (CASE WHEN "name" = 'x' THEN 1 WHEN "is_open" THEN "number" ELSE 3 END)

"number" = (COALESCE(((2 * "number") - 1), 7))

"number" > (LENGTH("name"))

"name" = (LOWER((COALESCE("code", '') || COALESCE((COALESCE('-', '') || COALESCE("code", '')), ''))))

"name" = ("number")::text

"at" < (STATEMENT_TIMESTAMP() - '3 days 0:00:00'::interval)

"at" > (DATE_TRUNC('day', STATEMENT_TIMESTAMP() AT TIME ZONE 'America/Chicago'))

(("at" AT TIME ZONE 'America/Chicago')::date = '2026-01-01'::date AND "at" >= '2020-01-01 00:00:00-06:00'::timestamptz)

"number" = (EXTRACT(YEAR FROM "at" AT TIME ZONE 'America/Chicago'))

(("data" #> '{a,b}') = '1'::jsonb OR ("data" -> 'a') = 'null'::jsonb OR "data" ?& '{a,b}' OR "data" @> '{"a": ["%"]}'::jsonb)

(UPPER(("data" ->> 'a')::text) LIKE UPPER('%x%') AND ("data" -> 'a') IN ('"x"'::jsonb, '1'::jsonb))

("data" = (JSONB_BUILD_OBJECT(('a')::text, "name")) AND "name" = ("data" #>> '{a,b}'))

"is_open" = ("number" > 3)

"is_open" = ("number" IS NULL)

"number" = (SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb -> 'app' ->> 'number')::integer)

UPPER("name"::text) = UPPER((SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb -> '50%''s' ->> 'e%mail')))

("data" -> 'owner') = (SELECT nullif(nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb -> 'sub', 'null'))

"number" IN ((SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'first')::integer), 3)

"codes" @> (ARRAY['a'])::text[]

(("codes")[1] = 'x' AND CASE WHEN "codes" IS NULL THEN NULL ELSE coalesce(array_length("codes", 1), 0) END = 2)

"codes" && (ARRAY['a', 'b'])::text[]

"owner_id" = ANY (ARRAY(SELECT "private"."may_1"()))
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."id" FROM "private"."persons" "t1" WHERE "t1"."name" = (SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub'))
;
END
$body$

NOT ("owner_id" = ANY (ARRAY(SELECT "private"."may_1"())))
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."id" FROM "private"."persons" "t1" INNER JOIN "private"."persons" "t2" ON ("t1"."boss_id" = "t2"."id") WHERE UPPER("t2"."name"::text) LIKE UPPER(E'%a\\%%')
;
END
$body$

("owner_id" = ANY (ARRAY(SELECT "private"."may_1"())) OR "id" = ANY (ARRAY(SELECT "private"."may_2"())))
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."id" FROM "private"."persons" "t1" INNER JOIN "private"."persons" "t2" ON ("t1"."id" = "t2"."boss_id") WHERE "t2"."name" = 'x'
;
END
$body$
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."thing_id" FROM "private"."things_clubs" "t1" INNER JOIN "private"."clubs" "t2" ON ("t1"."club_id" = "t2"."id") WHERE "t2"."name" IN ('a', 'b')
;
END
$body$

"owner_id" = ANY (ARRAY(SELECT "private"."may_1"()))
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."id" FROM "private"."persons" "t1" LEFT OUTER JOIN "private"."persons" "t2" ON ("t1"."boss_id" = "t2"."id") LEFT OUTER JOIN "private"."persons" "t3" ON ("t2"."id" = "t3"."boss_id") WHERE "t3"."id" IS NULL
;
END
$body$

("number" = 1 AND "owner_id" = ANY (ARRAY(SELECT "private"."may_1"())))
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."id" FROM "private"."persons" "t1" INNER JOIN "private"."persons" "t2" ON ("t1"."boss_id" = "t2"."id") WHERE ("t2"."name" = 'x' AND "t1"."name" = 'y')
;
END
$body$

"owner_id" = ANY (ARRAY(SELECT "private"."may_1"()))
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."id" FROM "private"."persons" "t1" WHERE 0 = 1
;
END
$body$

("id" = ANY (ARRAY(SELECT "private"."may_1"())) AND "owner_id" = ANY (ARRAY(SELECT "private"."may_2"())))
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."thing_id" FROM "private"."things_clubs" "t1" WHERE "t1"."club_id" IN ((SELECT (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'club')::bigint), 4)
;
END
$body$
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."id" FROM "private"."persons" "t1" WHERE "t1"."boss_id" IN (3)
;
END
$body$

("id" = ANY (ARRAY(SELECT "private"."may_1"())) AND "owner_id" = 3)
AS $body$
BEGIN
RETURN QUERY
SELECT "t1"."thing_id" FROM "private"."things_clubs" "t1" WHERE "t1"."club_id" IS NOT NULL
;
END
$body$

STATEMENT_TIMESTAMP()

LOWER('X%')

(1 + 2)

'{"a": 1}'::jsonb
