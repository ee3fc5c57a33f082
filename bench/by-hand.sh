#!/bin/sh
# The script that an expert would write by hand: copy, de-duplicate, one upsert. Arguments: database, file, and
# `distinct` for the second form, which leaves alone what is equal.
set -eu
where=""
[ "${3:-}" = distinct ] && where="where (p.name, p.description, p.price, p.quantity)
  is distinct from (excluded.name, excluded.description, excluded.price, excluded.quantity)"
exec psql -qX -v ON_ERROR_STOP=1 "$1" <<SQL
begin;
create unlogged table script_rows (n bigint generated always as identity, sku text, name text, description text,
  price numeric(18,4), quantity numeric(18,4));
\\copy script_rows (sku, name, description, price, quantity) from '$2' with (format csv, header)
insert into catalog.products as p (tenant_id, sku, name, description, price, quantity)
select distinct on (lower(sku)) 'default', sku, name, description, price, quantity from script_rows order by lower(sku), n desc
on conflict (tenant_id, lower(sku)) do update
  set name = excluded.name, description = excluded.description, price = excluded.price, quantity = excluded.quantity
  $where;
drop table script_rows;
commit;
SQL
