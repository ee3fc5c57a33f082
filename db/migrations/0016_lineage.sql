-- From a record to the rows of imports that met it. Each import's plan is a table of its own; what finds the right
-- ones is a map of the hashes of its keys, made once after the import has ended: blocks of about 24 rows, found by
-- the highest bits of the hash, each two arrays. 100 million rows take 4 million blocks, and a look-up reads one
-- block an import. Partitions by month: dropping a month is DROP TABLE.

create table waybill.key_maps (
  lock_key bigint primary key references waybill.imports (lock_key),
  tenant_id text not null,
  -- Names the target: what two imports share if they can meet the same record.
  turn text not null,
  month date not null,
  -- 2^bits blocks.
  bits int not null,
  rows bigint not null,
  made_at timestamptz not null default clock_timestamp()
);
create index key_maps_by_target on waybill.key_maps (turn, tenant_id, lock_key desc);

create table waybill.key_blocks (
  month date not null,
  lock_key bigint not null,
  block int not null,
  -- The lowest 32 bits of the hash of each key, and beside it record * 16 + what came of the row (see lineage.ts).
  hashes int[] not null,
  entries bigint[] not null,
  primary key (month, lock_key, block)
) partition by list (month);

-- When what an import left was reduced, by age: first values and images, then the ledger.
alter table waybill.imports
  add column values_dropped_at timestamptz,
  add column ledger_dropped_at timestamptz;

-- The worker makes partitions as months come; the parent belongs to the owner.
create function waybill.key_partition(p_month date) returns void language plpgsql security definer
set search_path = pg_catalog as $$
declare
  name text := 'key_blocks_' || to_char(p_month, 'YYYYMM');
begin
  if to_regclass('waybill.' || name) is null then
    perform pg_advisory_xact_lock(7297, 1);
    execute format('create table if not exists waybill.%I partition of waybill.key_blocks for values in (%L)',
      name, p_month);
  end if;
end $$;

-- Maps of months that ended before this one are given up.
create function waybill.drop_key_partitions(p_before date) returns int language plpgsql security definer
set search_path = pg_catalog as $$
declare
  one record;
  n int := 0;
begin
  for one in select c.relname from pg_inherits h join pg_class c on c.oid = h.inhrelid
      where h.inhparent = 'waybill.key_blocks'::regclass
        and to_date(right(c.relname, 6), 'YYYYMM') < date_trunc('month', p_before)::date loop
    execute format('drop table waybill.%I', one.relname);
    n := n + 1;
  end loop;
  delete from waybill.key_maps where month < date_trunc('month', p_before)::date;
  return n;
end $$;

-- Rows of imports that met a key, the newest import first: the look-up reads one block of each.
create function waybill.key_sightings(p_turn text, p_tenant text, p_hash bigint, p_before bigint, p_fates int[])
returns table (lock_key bigint, record bigint, fate int) language sql stable
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
  select m.lock_key, e >> 4, (e & 15)::int
  from waybill.key_maps m
  join waybill.key_blocks b on b.month = m.month and b.lock_key = m.lock_key
    and b.block = case when m.bits = 0 then 0 else ((p_hash >> (64 - m.bits)) & ((1::bigint << m.bits) - 1))::int end
  cross join lateral unnest(array_positions(b.hashes, ((p_hash << 32) >> 32)::int)) at
  cross join lateral (select b.entries[at] as e) x
  where m.turn = p_turn and m.tenant_id = p_tenant and m.lock_key < p_before
    and (p_fates is null or (e & 15)::int = any(p_fates))
  order by m.lock_key desc
$$;
