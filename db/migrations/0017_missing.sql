-- Records of the target that a full catalogue no longer has: deactivated or deleted, by the same protocol as rows of the
-- file. They lie in a table of the import's own, stage.missing_N, with numbers below zero and places behind those of the
-- file, in batches of their own. They are no part of the input and are counted beside it.

alter table waybill.batches add column missing boolean not null default false;
alter table waybill.receipts
  add column deactivated int not null default 0,
  add column deleted int not null default 0,
  -- Found as it was to become: somebody else has deactivated or removed it since.
  add column gone int not null default 0,
  -- Left as it is: changed since the plan was made, in the file of a later import, referred to, or refused by the table.
  add column kept int not null default 0;

-- Why a plan waits for a person under every policy.
alter table waybill.plans add column hold text[] not null default '{}';

create function waybill.missing_table(p_lock_key bigint) returns text language sql immutable
  return 'stage.missing_' || p_lock_key;

-- A batch of missing records, called by apply_batch. A record that is not as the plan saw it is left alone, and so is
-- one that something refers to: no rule of the table (on delete cascade, set null) ever removes or changes what does.
create function waybill.apply_missing(p_epoch int, p_program jsonb, b waybill.batches)
returns waybill.receipts language plpgsql as $$
declare
  m constant jsonb := p_program -> 'missing';
  decision constant text := m ->> 'decision';
  r waybill.receipts;
  found_rows record;
  w record;
  c record;
  f jsonb;
  back bigint[] := '{}';
  lost bigint[];
  broken bigint[] := '{}';
  one bigint;
begin
  r.import_id := b.import_id; r.wave := b.wave; r.batch := b.batch; r.epoch := p_epoch;
  r.created := 0; r.updated := 0; r.unchanged := 0; r.stale := 0; r.failed := 0;
  r.deactivated := 0; r.deleted := 0; r.gone := 0; r.kept := 0;
  r.backend_pid := pg_backend_pid();

  execute m ->> 'check' into found_rows using b.first_seq, b.last_seq;
  if found_rows.rows <> b.rows or found_rows.digest <> b.digest then
    raise exception 'plan_lost: batch %.% of % has % missing records with digest %, approved were % with %', b.wave,
      b.batch, b.import_id, found_rows.rows, found_rows.digest, b.rows, b.digest using errcode = 'WB002';
  end if;
  -- Locked first: then nobody can begin to refer to a record between our look and its removal.
  if m ->> 'lock' is not null then
    execute m ->> 'lock' using b.first_seq, b.last_seq;
  end if;
  -- Where the table refers to itself: leaves first, then what they held, for as long as something goes.
  loop
    select * into w from waybill.write_range(m ->> 'write', b.first_seq, b.last_seq, lost, b.wave, b.batch);
    back := back || w.back;
    for f in select * from jsonb_array_elements(w.failures) loop
      execute m ->> 'record_of' into one using (f ->> 'seq')::bigint;
      r.kept := r.kept + case when f ->> 'code' = 'reference_missing' and decision = 'delete'
        then waybill.note_outcomes(b.import_id, b.wave, b.batch, array[one], decision, 'failed', 'referenced',
          'Something refers to this record, so it was not deleted.')
        else waybill.note_outcomes(b.import_id, b.wave, b.batch, array[one], decision, 'failed', f ->> 'code', f ->> 'message') end;
      broken := broken || one;
    end loop;
    exit when cardinality(back) + cardinality(broken) >= b.rows;
    execute m ->> 'planned' into lost using b.first_seq, b.last_seq;
    lost := waybill.without(lost, back || broken);
    exit when cardinality(w.back) = 0 or not (m ->> 'again')::boolean;
  end loop;
  if decision = 'delete' then
    r.deleted := cardinality(back);
  else
    r.deactivated := cardinality(back);
  end if;
  if cardinality(back) + cardinality(broken) < b.rows then
    execute m ->> 'classify' into c using b.first_seq, b.last_seq, lost;
    r.gone := waybill.note_outcomes(b.import_id, b.wave, b.batch, c.reached, decision, 'unchanged', 'gone',
      'Somebody else did this since the plan was made.');
    r.kept := r.kept
      + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.moved, decision, 'stale', 'stale',
          'The record was changed or removed after the plan was made, so it was left alone.')
      + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.seen, decision, 'stale', 'seen_later',
          'A later import has a row for this record, so this older file does not remove it.')
      + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.referenced, decision, 'failed', 'referenced',
          'Something refers to this record, so it was not deleted.')
      + waybill.note_outcomes(b.import_id, b.wave, b.batch, waybill.without(lost, c.reached || c.moved || c.seen || c.referenced),
          decision, 'failed', 'refused_by_target',
          'The table did not take the change and gave no reason (a rule or trigger of the table).');
  end if;
  r.committed_at := clock_timestamp();
  insert into waybill.receipts values (r.*);
  return r;
end $$;

-- Missing records of a plan that was made outside of a turn wait to be applied, and others have been there since.
create function waybill.passed_by(p_import text) returns boolean language sql stable
  return (select exists (select from waybill.batches b where b.import_id = p_import and b.missing and b.superseded_at is null
        and not exists (select from waybill.receipts r where (r.import_id, r.wave, r.batch) = (b.import_id, b.wave, b.batch)))
      and exists (select from waybill.imports o where o.turn = i.turn and o.import_id <> p_import
        and (o.status in ('completed', 'completed_with_issues') and o.finished_at > found
          or exists (select from waybill.receipts r where r.import_id = o.import_id and r.committed_at > found)))
    from waybill.imports i join waybill.plans p on p.import_id = i.import_id and p.version = i.plan_version
      cross join lateral (select (p.program #>> '{missing,found_at}')::timestamptz as found) f
    where i.import_id = p_import);

-- What the accounting says beside the input, of imports that look for missing records; null of all others. `missing` is
-- what the plan found, and the others what came of it: what none of them counts was gone by itself, or is still to do.
create function waybill.account_missing(p_import text) returns jsonb language sql stable
  return (select jsonb_build_object(
      'missing', (select coalesce(sum(b.rows), 0) from waybill.batches b
        where b.import_id = p_import and b.missing and b.superseded_at is null),
      'deactivated', coalesce(sum(r.deactivated), 0), 'deleted', coalesce(sum(r.deleted), 0), 'kept', coalesce(sum(r.kept), 0))
    from waybill.receipts r where r.import_id = p_import
    having exists (select from waybill.imports i join waybill.plans p on p.import_id = i.import_id and p.version = i.plan_version
      where i.import_id = p_import and jsonb_typeof(p.program -> 'missing') = 'object'));
