-- Who may write, and since when not: status, epoch, turn. Everything that changes them holds the exclusive form
-- of the import's advisory lock, whose shared form every batch holds (0004_apply.sql): a pause waits for the
-- batches under way and nothing slips past it.
--
-- SQLSTATEs of our own: WB001 fenced, WB002 plan lost, WB404 no such import.

create function waybill.lock_import(p_import text) returns waybill.imports language plpgsql as $$
declare
  i waybill.imports;
begin
  select * into i from waybill.imports where import_id = p_import;
  if not found then
    raise exception 'no import %', p_import using errcode = 'WB404';
  end if;
  perform pg_advisory_xact_lock(i.lock_key);
  -- Read again: what was true before the lock may not be true now.
  select * into i from waybill.imports where import_id = p_import for no key update;
  return i;
end $$;

-- A run that stops running gives back its turns and slots, in the transaction that stops it.
create function waybill.release_turns() returns trigger language plpgsql as $$
begin
  delete from waybill.tickets where import_id = new.import_id;
  update waybill.turns set holder = null where holder = new.import_id;
  perform pg_notify('waybill_turns', new.import_id);
  return null;
end $$;
create trigger release_turns after update of status on waybill.imports
  for each row
  when (old.status is distinct from new.status and new.status not in ('queued', 'running', 'reverting'))
  execute function waybill.release_turns();

-- The first thing that a workflow run does. Null: the import is over, there is nothing to run.
create function waybill.claim(p_import text, p_run text) returns waybill.imports language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
begin
  if i.status not in ('queued', 'running', 'paused', 'waiting') then
    return null;
  end if;
  -- Whoever goes on asks for slot and turn again, in that order: two that held one each would wait for ever.
  delete from waybill.tickets where import_id = p_import;
  update waybill.turns set holder = null where holder = p_import;
  -- Of a run that had ended: what it does now is not in the map of its keys.
  delete from waybill.key_maps where lock_key = i.lock_key;
  update waybill.imports set
    epoch = epoch + 1,
    workflow_run_id = p_run,
    status = case when status in ('queued', 'waiting') then 'running' else status end,
    waiting_for = case when status in ('queued', 'waiting') then null else waiting_for end,
    started_at = case when status = 'paused' then started_at else coalesce(started_at, clock_timestamp()) end
  where import_id = p_import
  returning * into i;
  return i;
end $$;

-- Holds the shared lock to the end of the transaction, and says no to a run that is stopped or taken over: what
-- staging and planning begin their transactions with, so that a pause waits for them or ends them.
create function waybill.hold(p_import text, p_epoch int) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared((select lock_key from waybill.imports where import_id = p_import));
  if not exists (select from waybill.imports where import_id = p_import and status = 'running' and epoch = p_epoch) then
    raise exception 'fenced: % is not running in epoch %', p_import, p_epoch using errcode = 'WB001';
  end if;
end $$;

create function waybill.enter_phase(p_import text, p_epoch int, p_phase text, p_nth int) returns void language plpgsql as $$
begin
  -- Every activity of a phase comes by here, a late one perhaps when the run is further: it changes nothing then.
  if exists (select from waybill.imports where import_id = p_import and entered >= array[p_epoch, p_nth]) then
    return;
  end if;
  update waybill.imports set phase = p_phase, entered = array[p_epoch, p_nth]
  where import_id = p_import and epoch = p_epoch and status = 'running' and entered < array[p_epoch, p_nth];
  if not found then
    raise exception 'fenced: % may not enter %', p_import, p_phase using errcode = 'WB001';
  end if;
  update waybill.phases set finished_at = clock_timestamp()
  where import_id = p_import and finished_at is null and name <> p_phase;
  insert into waybill.phases (import_id, name) values (p_import, p_phase)
  on conflict (import_id, name) do update set finished_at = null;
end $$;

-- Waits for a person. The wait holds nothing.
create function waybill.wait_for_person(p_import text, p_epoch int, p_what jsonb)
returns waybill.imports language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
begin
  if i.epoch <> p_epoch or i.status not in ('running', 'waiting') then
    raise exception 'fenced: % may not wait', p_import using errcode = 'WB001';
  end if;
  update waybill.imports set status = 'waiting', waiting_for = p_what where import_id = p_import
  returning * into i;
  return i;
end $$;

-- Pause or cancel, in the same breath for every lane. Returns the import as it is afterwards; asking twice is
-- no error.
create function waybill.request_stop(p_import text, p_what text, p_actor text, p_reason text)
returns waybill.imports language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
begin
  if i.status = 'reverting' then
    return waybill.stop_revert(i, p_what, p_actor, p_reason);
  end if;
  if p_what = 'pause' and i.status in ('queued', 'running') then
    update waybill.imports set status = 'paused', epoch = epoch + 1,
      waiting_for = jsonb_build_object('what', 'resume', 'since', now(), 'by', p_actor)
    where import_id = p_import returning * into i;
  elsif p_what = 'cancel' and i.status in ('uploading', 'queued', 'running', 'paused', 'waiting') then
    update waybill.phases set finished_at = clock_timestamp() where import_id = p_import and finished_at is null;
    update waybill.imports set status = 'cancelled', epoch = epoch + 1, phase = null, waiting_for = null,
      finished_at = clock_timestamp(), accounting = waybill.account(p_import),
      error = jsonb_build_object('code', 'cancelled', 'message', coalesce(p_reason, 'Cancelled by ' || p_actor || '.'))
    where import_id = p_import returning * into i;
  elsif p_what not in ('pause', 'cancel') then
    raise exception 'request_stop knows pause and cancel, not %', p_what;
  else
    return i;
  end if;
  insert into waybill.audit (tenant_id, import_id, actor, action, reason)
  values (i.tenant_id, p_import, p_actor, p_what, p_reason);
  return i;
end $$;

create function waybill.resume(p_import text, p_actor text) returns waybill.imports language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
begin
  if i.status = 'paused' then
    update waybill.imports set status = 'running', epoch = epoch + 1, waiting_for = null
    where import_id = p_import returning * into i;
    insert into waybill.audit (tenant_id, import_id, actor, action) values (i.tenant_id, p_import, p_actor, 'resume');
  elsif i.status = 'reverting' then
    return waybill.resume_revert(i, p_actor);
  end if;
  return i;
end $$;

-- A person has answered: the run goes on. Only if it waits for just that.
create function waybill.answer_wait(p_import text, p_epoch int, p_what text) returns void language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
begin
  if i.epoch <> p_epoch or i.status <> 'waiting' or i.waiting_for ->> 'what' is distinct from p_what then
    raise exception 'fenced: % does not wait for %', p_import, p_what using errcode = 'WB001';
  end if;
  update waybill.imports set status = 'running', waiting_for = null where import_id = p_import;
end $$;

-- Opens an ended run again; it goes on from its receipts. Not where some of it was undone: it would count what is
-- gone; nor where the plan has lost its values with age.
create function waybill.reopen(p_import text, p_actor text)
returns waybill.imports language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
begin
  if i.status in ('failed', 'cancelled', 'unproven') and i.object_key is not null and i.values_dropped_at is null
     and not exists (select from waybill.revert_receipts r where r.import_id = p_import) then
    update waybill.imports set status = 'queued', epoch = epoch + 1, finished_at = null, error = null,
      waiting_for = null, accounting = null, restarts = 0, restarted_at_receipts = null
    where import_id = p_import returning * into i;
    insert into waybill.audit (tenant_id, import_id, actor, action) values (i.tenant_id, p_import, p_actor, 'retry');
  end if;
  return i;
end $$;

-- Takes a turn (or a slot: a turn nobody's rows depend on) or says who is before us. Tickets are served in order.
create function waybill.take_turn(p_import text, p_epoch int, p_turn text, p_is_slot boolean)
returns table (held boolean, ahead int, moved boolean) language plpgsql as $$
declare
  i waybill.imports;
  t waybill.turns;
  mine bigint;
begin
  select * into i from waybill.imports where import_id = p_import;
  -- Shared: request_stop either comes before (and we see it) or waits for us and takes the turn back.
  perform pg_advisory_xact_lock_shared(i.lock_key);
  insert into waybill.turns (turn) values (p_turn) on conflict do nothing;
  select * into t from waybill.turns where turn = p_turn for update;
  select * into i from waybill.imports where import_id = p_import;
  if i.epoch <> p_epoch or i.status not in ('running', 'queued', 'reverting') then
    raise exception 'fenced: % may not take %', p_import, p_turn using errcode = 'WB001';
  end if;

  insert into waybill.tickets (turn, import_id) values (p_turn, p_import) on conflict do nothing;
  if t.holder is null then
    select k.import_id = p_import into held from waybill.tickets k where k.turn = p_turn order by ticket limit 1;
    if held then
      update waybill.turns set holder = p_import, taken_at = clock_timestamp(), last_holder = p_import,
        generation = generation + (last_holder is distinct from p_import)::int
      where turn = p_turn returning * into t;
    end if;
  end if;
  held := t.holder is not distinct from p_import;
  select ticket into mine from waybill.tickets k where k.turn = p_turn and k.import_id = p_import;
  select count(*) into ahead from waybill.tickets k where k.turn = p_turn and k.ticket < mine;
  moved := held and not p_is_slot and case when i.turn_generation is not null then i.turn_generation <> t.generation
    else i.status <> 'reverting' and coalesce(waybill.passed_by(p_import), false) end;

  if i.status = 'reverting' then
    update waybill.imports set waiting_for = case when not held then jsonb_build_object(
      'what', case when p_is_slot then 'slot' else 'turn' end, 'since', clock_timestamp(), 'ahead', ahead) end
    where import_id = p_import and (held or waiting_for is null);
  elsif held and i.status = 'queued' then
    update waybill.imports set status = 'running', waiting_for = null where import_id = p_import;
  elsif not held and (i.status = 'running' or i.waiting_for is null) then
    update waybill.imports set status = 'queued', waiting_for = jsonb_build_object(
      'what', case when p_is_slot then 'slot' else 'turn' end, 'since', clock_timestamp(), 'ahead', ahead)
    where import_id = p_import;
  end if;
  return next;
end $$;

create function waybill.plan_table(p_lock_key bigint) returns text language sql immutable
  return 'stage.plan_' || p_lock_key;

-- The accounting as the receipts and the plan have it now. `bijection` says whether the ledger holds each of the
-- records 1..input exactly once.
create function waybill.account(p_import text, out accounting jsonb) language plpgsql as $$
declare
  i waybill.imports;
  s record;
  p record;
begin
  select * into i from waybill.imports where import_id = p_import;
  select coalesce(sum(created), 0) created, coalesce(sum(updated), 0) updated,
    coalesce(sum(unchanged), 0) unchanged, coalesce(sum(stale), 0) stale, coalesce(sum(failed), 0) failed
  into s from waybill.receipts where import_id = p_import;
  if i.input_accepted is null then
    return;
  end if;
  if i.plan_version > 0 and to_regclass(waybill.plan_table(i.lock_key)) is not null then
    execute format($q$
      select count(*) filter (where _decision = 'duplicate') as duplicates,
        count(*) filter (where _decision = 'blocked') as blocked,
        count(*) filter (where _decision = 'skipped') as skipped
      from %s where _seq is null$q$, waybill.plan_table(i.lock_key)) into p;
  else
    select 0::bigint as duplicates, 0::bigint as blocked, 0::bigint as skipped into p;
  end if;
  accounting := jsonb_build_object('input', i.input_accepted + i.input_rejected,
    'created', s.created, 'updated', s.updated, 'unchanged', s.unchanged, 'duplicates', p.duplicates,
    'blocked', p.blocked, 'stale', s.stale, 'skipped', p.skipped, 'failed', s.failed,
    'notProcessed', i.input_accepted + i.input_rejected - s.created - s.updated - s.unchanged - p.duplicates
      - p.blocked - s.stale - p.skipped - s.failed)
    || coalesce(waybill.account_missing(p_import), '{}');
end $$;

-- Proves the ledger and returns what it found: {ok, accounting, checks: [{name, ok, found, expected}]}.
-- Nothing is netted: every side is counted on its own, from the rows themselves.
create function waybill.prove(p_import text, out proof jsonb) language plpgsql as $$
declare
  i waybill.imports;
  p record;
  r record;
  acc jsonb;
  checks jsonb;
  missing bigint := 0;
begin
  select * into i from waybill.imports where import_id = p_import;
  acc := waybill.account(p_import);
  execute format($q$
    select count(*) as records, count(_seq) as with_seq, coalesce(min(_record), 1) as lowest,
      coalesce(max(_record), 0) as highest
    from %s$q$, waybill.plan_table(i.lock_key)) into p;
  select coalesce(sum(b.rows) filter (where not b.missing), 0) as rows_of_batches,
    coalesce(sum(b.rows) filter (where b.missing), 0) as missing_rows,
    count(*) filter (where c.batch is null and b.superseded_at is null) as open_batches,
    count(*) filter (where c.batch is not null and (c.created + c.updated + c.unchanged + c.stale + c.failed
      + c.deactivated + c.deleted + c.gone + c.kept <> b.rows
      or b.missing <> (c.deactivated + c.deleted + c.gone + c.kept > 0))) as wrong_receipts,
    count(*) filter (where c.batch is not null and b.superseded_at is not null) as superseded_receipts,
    coalesce(sum(b.rows) filter (where c.batch is not null), 0) as receipted_rows
  into r from waybill.batches b left join waybill.receipts c using (import_id, wave, batch)
  where b.import_id = p_import and (b.superseded_at is null or c.batch is not null);

  if to_regclass(waybill.missing_table(i.lock_key)) is not null then
    execute format('select count(*) from %s', waybill.missing_table(i.lock_key)) into missing;
  end if;

  select jsonb_agg(jsonb_build_object('name', c.name, 'ok', c.found = c.expected, 'found', c.found, 'expected', c.expected))
  into checks
  from (values
    ('every record is in the plan', p.records, i.input_accepted + i.input_rejected),
    ('the first record is 1', p.lowest, 1::bigint),
    ('the last record is the input', p.highest, i.input_accepted + i.input_rejected),
    ('records are distinct (unique index)', (select count(*) from pg_index x
       where x.indrelid = to_regclass(waybill.plan_table(i.lock_key)) and x.indisunique and x.indisvalid), 1::bigint),
    ('every row with a place is in one batch', p.with_seq, r.rows_of_batches::bigint),
    ('every batch has its receipt', r.open_batches, 0::bigint),
    ('every receipt counts its batch''s rows', r.wrong_receipts, 0::bigint),
    ('no superseded batch was applied', r.superseded_receipts, 0::bigint),
    ('nothing is left over', (acc ->> 'notProcessed')::bigint, 0::bigint),
    ('every missing record is in one batch', missing, r.missing_rows::bigint)
  ) as c (name, found, expected);
  proof := jsonb_build_object('ok', not jsonb_path_exists(checks, '$[*] ? (@.ok == false)'),
    'accounting', acc, 'checks', checks);
end $$;

-- Ends a run: with an error, or with what its proof says.
create function waybill.finish(p_import text, p_epoch int, p_error jsonb, p_proof jsonb, p_proof_key text,
  p_report_key text) returns waybill.imports language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
  acc jsonb := coalesce(p_proof -> 'accounting', waybill.account(p_import));
  outcome text;
begin
  -- A second attempt whose first one got through.
  if i.epoch = p_epoch and i.finished_at is not null then
    return i;
  end if;
  if i.epoch <> p_epoch or i.status not in ('running', 'queued', 'waiting') then
    raise exception 'fenced: % may not finish', p_import using errcode = 'WB001';
  end if;
  outcome := case
    when p_error is not null then 'failed'
    when not (p_proof ->> 'ok')::boolean then 'unproven'
    when (acc ->> 'blocked')::bigint + (acc ->> 'stale')::bigint + (acc ->> 'failed')::bigint
       + (acc ->> 'notProcessed')::bigint + coalesce((acc ->> 'kept')::bigint, 0) > 0 then 'completed_with_issues'
    else 'completed'
  end;
  update waybill.phases set finished_at = clock_timestamp() where import_id = p_import and finished_at is null;
  update waybill.imports set status = outcome, phase = null, waiting_for = null, finished_at = clock_timestamp(),
    accounting = acc, proof_key = coalesce(p_proof_key, proof_key),
    error_report_key = coalesce(p_report_key, error_report_key),
    error = case when outcome = 'unproven' then jsonb_build_object('code', 'unproven', 'message',
      'The accounting of this run does not add up; see its proof. Nothing was hidden: check the target before you rely on it.')
      else p_error end
  where import_id = p_import returning * into i;
  return i;
end $$;
