-- Datasets over tables that exist already: their versions, and which tables the deployment gives to whom.

-- A dataset that was removed keeps its versions: imports of it stay explained, new ones are refused.
alter table waybill.datasets add column removed_at timestamptz;

-- What the deployment says, as the database's owner: this tenant may load into this table. Gives the two processes the
-- rights they need for it, and no more; the tables it refers to may be read, so that missing parents are found before.
create function waybill.grant_target(p_tenant text, p_table regclass) returns void language plpgsql
set search_path = pg_catalog as $$
declare
  t record;
  one record;
begin
  select n.nspname, c.relname, c.relkind, c.relrowsecurity, c.oid into t
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_table;
  if t.nspname in ('waybill', 'stage', 'information_schema') or t.nspname like 'pg\_%'
     or t.relname = 'waybill_migrations' then
    raise exception 'Tables of the schema % cannot be loaded into.', t.nspname using errcode = '42501';
  end if;
  if t.relkind not in ('r', 'p') or t.relrowsecurity then
    raise exception '% is a view, a foreign table or has row security; it cannot be a target.', p_table
      using errcode = '42809';
  end if;
  execute format('grant usage on schema %I to waybill_api, waybill_worker', t.nspname);
  execute format('grant select on %s to waybill_api', p_table);
  execute format('grant select, insert, update, delete on %s to waybill_worker', p_table);
  for one in
    select d.objid::regclass as name, n.nspname as schema from pg_depend d join pg_class c on c.oid = d.objid
      join pg_namespace n on n.oid = c.relnamespace
    where d.refobjid = t.oid and d.classid = 'pg_class'::regclass and c.relkind = 'S' and d.deptype in ('a', 'i')
  loop
    execute format('grant usage on sequence %s to waybill_worker', one.name);
  end loop;
  for one in
    select f.confrelid::regclass as name, n.nspname as schema from pg_constraint f
      join pg_class c on c.oid = f.confrelid join pg_namespace n on n.oid = c.relnamespace
    where f.conrelid = t.oid and f.contype = 'f'
  loop
    execute format('grant usage on schema %I to waybill_worker', one.schema);
    execute format('grant select on %s to waybill_worker', one.name);
  end loop;
  insert into waybill.target_grants values (p_tenant, t.nspname, t.relname) on conflict do nothing;
end $$;

create function waybill.revoke_target(p_tenant text, p_table regclass) returns void language plpgsql
set search_path = pg_catalog as $$
declare
  t record;
begin
  select n.nspname, c.relname into t from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_table;
  delete from waybill.target_grants
    where tenant_id = p_tenant and target_schema = t.nspname and target_table = t.relname;
  if not exists (select from waybill.target_grants where target_schema = t.nspname and target_table = t.relname) then
    execute format('revoke all on %s from waybill_api, waybill_worker', p_table);
  end if;
end $$;
