-- Undoing a committed import, in batches, from what it kept of each record it changed. The same rules as applying
-- (0003, 0004): the exclusive lock to begin, stop and end, its shared form in every batch; the epoch; the turn;
-- receipts written with the rows.

create table waybill.reverts (
  import_id text not null references waybill.imports,
  revert int not null,
  state text not null check (state in ('running', 'paused', 'done', 'cancelled', 'failed', 'unproven')),
  -- What becomes of records in conflict: {changed, seenLater, referenced}: skip or force.
  on_conflict jsonb not null,
  -- As the import stood; a revert that is cancelled or fails puts it back.
  status_before text not null,
  requested_by text not null,
  reason text,
  requested_at timestamptz not null default clock_timestamp(),
  -- Null until it is planned, in its own turn.
  planned_at timestamptz,
  turn_generation bigint,
  counts jsonb,
  program jsonb,
  result jsonb,
  proof jsonb,
  error jsonb,
  workflow_run_id text,
  restarts int not null default 0,
  restarted_at_receipts bigint,
  finished_at timestamptz,
  primary key (import_id, revert)
);

-- Never changed, but for `superseded_at` of a batch that will never run.
create table waybill.revert_batches (
  import_id text not null,
  revert int not null,
  batch int not null,
  first_place bigint not null,
  last_place bigint not null,
  rows int not null,
  digest bigint not null,
  superseded_at timestamptz,
  primary key (import_id, revert, batch),
  foreign key (import_id, revert) references waybill.reverts
);

create table waybill.revert_receipts (
  import_id text not null,
  revert int not null,
  batch int not null,
  epoch int not null,
  removed int not null,
  restored int not null,
  -- Created by the import and no longer there: nothing was left to undo.
  gone int not null,
  skipped int not null,
  failed int not null,
  committed_at timestamptz not null default clock_timestamp(),
  primary key (import_id, revert, batch),
  foreign key (import_id, revert, batch) references waybill.revert_batches
);

-- Where what happened is not what the revert's plan decided.
create table waybill.revert_outcomes (
  import_id text not null,
  revert int not null,
  record bigint not null,
  outcome text not null check (outcome in ('gone', 'skipped', 'failed')),
  code text,
  message text,
  primary key (import_id, revert, record)
);

create function waybill.revert_table(p_lock_key bigint, p_revert int) returns text language sql immutable
  return 'stage.revert_' || p_lock_key || '_' || p_revert;

-- Begins to undo an import. WB409: not possible as it stands, with a sentence for a person.
create function waybill.begin_revert(p_import text, p_actor text, p_on_conflict jsonb, p_reason text, p_window interval)
returns waybill.imports language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
  n int;
begin
  perform waybill.must_be_revertable(i, p_window);
  select coalesce(max(revert), 0) + 1 into n from waybill.reverts where import_id = p_import;
  insert into waybill.reverts (import_id, revert, state, on_conflict, status_before, requested_by, reason)
  values (p_import, n, 'running', p_on_conflict, i.status, p_actor, p_reason);
  update waybill.imports set status = 'reverting', epoch = epoch + 1, waiting_for = null
  where import_id = p_import returning * into i;
  insert into waybill.audit (tenant_id, import_id, actor, action, reason, detail)
  values (i.tenant_id, p_import, p_actor, 'revert', p_reason,
    jsonb_build_object('revert', n, 'onConflict', p_on_conflict));
  return i;
end $$;

-- All of it was undone: nothing was left alone, and nothing refused.
create function waybill.is_undone(i waybill.imports) returns boolean language sql stable
  return i.status = 'reverted' and coalesce((select v.state = 'done' and (v.result ->> 'skipped')::bigint + (v.result ->> 'failed')::bigint = 0
    from waybill.reverts v where v.import_id = i.import_id order by v.revert desc limit 1), false);

-- Something that it wrote may be in the target still.
create function waybill.has_effect(i waybill.imports) returns boolean language sql stable
  return exists (select from waybill.receipts r where r.import_id = i.import_id and r.created + r.updated > 0)
    and not waybill.is_undone(i);

create function waybill.must_be_revertable(i waybill.imports, p_window interval) returns void language plpgsql as $$
begin
  if i.status = 'reverting' then
    raise exception 'The import is being undone already.' using errcode = 'WB409', hint = 'reverting';
  elsif i.status not in ('completed', 'completed_with_issues', 'unproven', 'failed', 'cancelled', 'reverted') then
    raise exception 'Only an import that has ended can be undone. Cancel it first.' using errcode = 'WB409', hint = 'not_ended';
  elsif not exists (select from waybill.receipts r where r.import_id = i.import_id and r.created + r.updated + r.deactivated + r.deleted > 0) then
    raise exception 'This import changed nothing, so there is nothing to undo.' using errcode = 'WB409', hint = 'nothing_to_undo';
  elsif waybill.is_undone(i) then
    raise exception 'Everything that this import changed has been undone.' using errcode = 'WB409', hint = 'nothing_to_undo';
  elsif i.finished_at + p_window < clock_timestamp()
     or to_regclass('stage.images_' || i.lock_key) is null then
    raise exception 'The time in which this import could be undone is over: what it replaced is no longer kept.'
      using errcode = 'WB409', hint = 'window_over';
  end if;
end $$;

-- The first thing that a workflow run of a revert does. No row: there is nothing to run.
create function waybill.claim_revert(p_import text, p_run text)
returns table (epoch int, revert int, paused boolean) language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
begin
  if i.status <> 'reverting' then
    return;
  end if;
  delete from waybill.tickets t where t.import_id = p_import;
  update waybill.turns t set holder = null where t.holder = p_import;
  update waybill.imports x set epoch = x.epoch + 1 where x.import_id = p_import returning x.epoch into epoch;
  update waybill.reverts r set workflow_run_id = p_run
  where r.import_id = p_import and r.state in ('running', 'paused')
  returning r.revert, r.state = 'paused' into revert, paused;
  return next;
end $$;

-- Holds the shared lock to the end of the transaction, and says no to a revert that is stopped or taken over.
create function waybill.hold_revert(p_import text, p_epoch int) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared((select lock_key from waybill.imports where import_id = p_import));
  if not exists (select from waybill.imports where import_id = p_import and status = 'reverting' and epoch = p_epoch) then
    raise exception 'fenced: % is not being undone in epoch %', p_import, p_epoch using errcode = 'WB001';
  end if;
end $$;

-- Called by request_stop, which holds the exclusive lock.
create function waybill.stop_revert(i waybill.imports, p_what text, p_actor text, p_reason text)
returns waybill.imports language plpgsql as $$
declare
  r waybill.reverts;
begin
  select * into r from waybill.reverts where import_id = i.import_id and state in ('running', 'paused');
  if p_what = 'pause' and r.state = 'running' then
    update waybill.reverts set state = 'paused' where import_id = i.import_id and revert = r.revert;
    update waybill.imports set epoch = epoch + 1,
      waiting_for = jsonb_build_object('what', 'resume', 'since', now(), 'by', p_actor)
    where import_id = i.import_id returning * into i;
    delete from waybill.tickets where import_id = i.import_id;
    update waybill.turns set holder = null where holder = i.import_id;
    perform pg_notify('waybill_turns', i.import_id);
  elsif p_what = 'cancel' then
    update waybill.imports set epoch = epoch + 1 where import_id = i.import_id;
    return waybill.end_revert(i, r, 'cancelled', null, p_actor, p_reason);
  else
    return i;
  end if;
  insert into waybill.audit (tenant_id, import_id, actor, action, reason, detail)
  values (i.tenant_id, i.import_id, p_actor, 'revert_paused', p_reason, jsonb_build_object('revert', r.revert));
  return i;
end $$;

-- Called by resume, which holds the exclusive lock.
create function waybill.resume_revert(i waybill.imports, p_actor text) returns waybill.imports language plpgsql as $$
begin
  update waybill.reverts set state = 'running' where import_id = i.import_id and state = 'paused';
  if found then
    update waybill.imports set epoch = epoch + 1, waiting_for = null where import_id = i.import_id returning * into i;
    insert into waybill.audit (tenant_id, import_id, actor, action) values (i.tenant_id, i.import_id, p_actor, 'revert_resumed');
  end if;
  return i;
end $$;

-- Whatever ends a revert. What it has undone stays undone and is said; the import is `reverted` only where it went through.
create function waybill.end_revert(i waybill.imports, r waybill.reverts, p_state text, p_error jsonb, p_actor text, p_reason text)
returns waybill.imports language plpgsql as $$
declare
  total jsonb;
begin
  select jsonb_build_object('removed', coalesce(sum(removed), 0), 'restored', coalesce(sum(restored), 0),
    'gone', coalesce(sum(gone), 0), 'skipped', coalesce(sum(skipped), 0), 'failed', coalesce(sum(failed), 0))
  into total from waybill.revert_receipts x where x.import_id = i.import_id and x.revert = r.revert;
  update waybill.reverts set state = p_state, error = p_error, result = total, finished_at = clock_timestamp(),
    proof = case when p_state in ('done', 'unproven') then waybill.prove_revert(i.import_id, r.revert) end
  where import_id = i.import_id and revert = r.revert;
  insert into waybill.audit (tenant_id, import_id, actor, action, reason, detail)
  values (i.tenant_id, i.import_id, p_actor, case p_state when 'done' then 'reverted' else 'revert_' || p_state end,
    p_reason, jsonb_build_object('revert', r.revert, 'result', total));
  -- The later imports whose records were undone too, by force, say so themselves. Where the table was given to several
  -- tenants, another one is not told who did it.
  if r.on_conflict ->> 'seenLater' = 'force' and r.planned_at is not null then
    execute format('insert into waybill.audit (tenant_id, import_id, actor, action, reason, detail)
      select s.tenant_id, s.import_id, case when s.tenant_id = $1 then $2 else ''another tenant'' end, ''records_undone'',
        case when s.tenant_id = $1 then $3 end, jsonb_build_object(''records'', count(*))
          || case when s.tenant_id = $1 then jsonb_build_object(''by'', $4, ''revert'', $5) else ''{}'' end
      from %s p join waybill.imports s on s.import_id = p._seen_by where _seen_by is not null and _decision in (''remove'', ''restore'', ''reactivate'', ''reinsert'') and exists (
        select from waybill.revert_receipts c join waybill.revert_batches b using (import_id, revert, batch)
        where c.import_id = $4 and c.revert = $5 and p._place between b.first_place and b.last_place)
      group by s.import_id', waybill.revert_table(i.lock_key, r.revert))
    using i.tenant_id, p_actor, p_reason, i.import_id, r.revert;
  end if;
  update waybill.imports set waiting_for = null,
    status = case p_state when 'done' then 'reverted' when 'unproven' then 'unproven' else r.status_before end,
    error = case p_state when 'unproven' then jsonb_build_object('code', 'revert_unproven', 'message',
      'Undoing this import does not add up; see its proof. Check the target before you rely on it.') else error end
  where import_id = i.import_id returning * into i;
  return i;
end $$;

-- Every record that the import changed is in one batch, and every batch's receipt counts its records.
create function waybill.prove_revert(p_import text, p_revert int, out proof jsonb) language plpgsql as $$
declare
  i waybill.imports;
  p record;
  b record;
  checks jsonb;
begin
  select * into i from waybill.imports where import_id = p_import;
  execute format('select count(*) as rows, count(distinct _record) as records from %s', waybill.revert_table(i.lock_key, p_revert)) into p;
  select coalesce(sum(x.rows) filter (where x.superseded_at is null), 0) as rows,
    count(*) filter (where c.batch is null and x.superseded_at is null) as open,
    count(*) filter (where c.removed + c.restored + c.gone + c.skipped + c.failed <> x.rows) as wrong,
    count(*) filter (where c.batch is not null and x.superseded_at is not null) as superseded
  into b from waybill.revert_batches x left join waybill.revert_receipts c using (import_id, revert, batch)
  where x.import_id = p_import and x.revert = p_revert;
  select jsonb_agg(jsonb_build_object('name', c.name, 'ok', c.found = c.expected, 'found', c.found, 'expected', c.expected))
  into checks from (values
    ('every record is there once', p.records, p.rows),
    ('every record is in one batch', p.rows, b.rows::bigint),
    ('every batch has its receipt', b.open, 0::bigint),
    ('every receipt counts its batch''s records', b.wrong, 0::bigint),
    ('no superseded batch was applied', b.superseded, 0::bigint)
  ) as c (name, found, expected);
  proof := jsonb_build_object('ok', not jsonb_path_exists(checks, '$[*] ? (@.ok == false)'), 'checks', checks);
end $$;

-- Ends a revert of this epoch: with an error, or as its proof says. Asked again, it says how the import stands.
create function waybill.finish_revert(p_import text, p_epoch int, p_error jsonb) returns waybill.imports language plpgsql as $$
declare
  i waybill.imports := waybill.lock_import(p_import);
  r waybill.reverts;
begin
  select * into r from waybill.reverts where import_id = p_import and state = 'running';
  if i.epoch = p_epoch and i.status <> 'reverting' then
    return i;
  end if;
  if i.epoch <> p_epoch or r.revert is null then
    raise exception 'fenced: the revert of % may not finish', p_import using errcode = 'WB001';
  end if;
  return waybill.end_revert(i, r,
    case when p_error is not null then 'failed'
      when (waybill.prove_revert(p_import, r.revert) ->> 'ok')::boolean then 'done' else 'unproven' end,
    p_error, r.requested_by, p_error ->> 'message');
end $$;

create function waybill.note_revert(p_import text, p_revert int, p_records bigint[], p_outcome text, p_code text,
  p_message text) returns int language plpgsql as $$
begin
  insert into waybill.revert_outcomes (import_id, revert, record, outcome, code, message)
  select p_import, p_revert, r, p_outcome, p_code, p_message from unnest(p_records) r;
  return cardinality(p_records);
end $$;

-- One kind of write of a batch (`remove`, `restore`, and of records that were missing `reactivate`, `reinsert`): how
-- many records it undid; what did not come back is told apart.
create function waybill.undo(p_program jsonb, p_kind text, b waybill.revert_batches, inout r waybill.revert_receipts)
language plpgsql as $$
declare
  itself constant boolean := coalesce((p_program ->> 'itself')::boolean, false);
  w record;
  c record;
  f jsonb;
  planned bigint[];
  rest bigint[];
  back bigint[] := '{}';
  broken bigint[] := '{}';
  one bigint;
begin
  execute p_program ->> 'planned' into planned using b.first_place, b.last_place, p_kind;
  if cardinality(planned) = 0 then
    return;
  end if;
  -- Locked first: then nobody can begin to refer to a record between our look and its removal.
  if p_program ->> 'lock' is not null then
    execute p_program ->> 'lock' using b.first_place, b.last_place;
  end if;
  -- Where the table refers to itself: what was held by others, or came before its parent, is tried again with them.
  loop
    select * into w from waybill.write_range(p_program ->> p_kind, b.first_place, b.last_place, rest, b.revert, b.batch,
      p_kind = 'reinsert');
    back := back || w.back;
    for f in select * from jsonb_array_elements(w.failures) loop
      continue when itself and cardinality(w.back) > 0 and (f ->> 'again')::boolean;
      execute p_program ->> 'record_of' into one using (f ->> 'seq')::bigint;
      if f ->> 'code' = 'reference_missing' and p_kind = 'remove' then
        r.skipped := r.skipped + waybill.note_revert(b.import_id, b.revert, array[one], 'skipped', 'referenced',
          'Something refers to this record.');
      else
        r.failed := r.failed + waybill.note_revert(b.import_id, b.revert, array[one], 'failed', f ->> 'code', f ->> 'message');
      end if;
      broken := broken || one;
    end loop;
    rest := waybill.without(planned, back || broken);
    exit when not itself or cardinality(w.back) = 0 or cardinality(rest) = 0;
  end loop;
  if p_kind = 'remove' then
    r.removed := r.removed + cardinality(back);
  else
    r.restored := r.restored + cardinality(back);
  end if;
  planned := rest;
  if cardinality(planned) > 0 then
    execute p_program ->> 'classify' into c using b.first_place, b.last_place, planned;
    if p_kind = 'remove' then
      r.gone := r.gone + waybill.note_revert(b.import_id, b.revert, c.absent, 'gone', null, null);
    elsif p_kind = 'reinsert' then
      r.failed := r.failed + waybill.note_revert(b.import_id, b.revert, c.absent, 'failed', 'refused_by_target',
        'The table did not take the record back and gave no reason (a rule or trigger of the table).');
    else
      r.skipped := r.skipped + waybill.note_revert(b.import_id, b.revert, c.absent, 'skipped', 'changed',
        'The record was removed meanwhile.');
    end if;
    r.skipped := r.skipped
      + waybill.note_revert(b.import_id, b.revert, c.moved, 'skipped', 'changed',
          'The record was changed while the import was being undone.')
      + waybill.note_revert(b.import_id, b.revert, c.referenced, 'skipped', 'referenced', 'Something refers to this record.');
    r.failed := r.failed + waybill.note_revert(b.import_id, b.revert,
      waybill.without(planned, c.absent || c.moved || c.referenced), 'failed', 'refused_by_target',
      'The table did not take the change and gave no reason (a rule or trigger of the table).');
  end if;
end $$;

create function waybill.revert_batches(p_import text, p_epoch int, p_revert int, p_first int, p_last int)
returns setof waybill.revert_receipts language plpgsql volatile
-- As in apply_batches: always index look-ups.
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_material = off set jit = off
set max_parallel_workers_per_gather = 0
as $$
declare
  i waybill.imports;
  b waybill.revert_batches;
  r waybill.revert_receipts;
  plan jsonb;
  found_rows record;
begin
  select * into i from waybill.imports where import_id = p_import;
  if not found then
    raise exception 'no import %', p_import using errcode = 'WB404';
  end if;
  perform pg_advisory_xact_lock_shared(i.lock_key);
  -- A second attempt at the same batches waits here until the first has committed or died.
  perform 1 from waybill.revert_batches x where x.import_id = p_import and x.revert = p_revert
    and x.batch between p_first and p_last order by x.batch for update;

  -- The receipt first, whatever the status: what is done is done.
  return query select * from waybill.revert_receipts x where x.import_id = p_import and x.revert = p_revert
    and x.batch between p_first and p_last;
  if not exists (select from waybill.revert_batches x where x.import_id = p_import and x.revert = p_revert
      and x.batch between p_first and p_last and not exists (select from waybill.revert_receipts y
        where y.import_id = x.import_id and y.revert = x.revert and y.batch = x.batch)) then
    return;
  end if;

  select * into i from waybill.imports where import_id = p_import;
  select v.program into plan from waybill.reverts v
    where v.import_id = p_import and v.revert = p_revert and v.state = 'running';
  if i.status <> 'reverting' or i.epoch <> p_epoch or plan is null
     or not exists (select from waybill.turns t where t.turn = i.turn and t.holder = p_import) then
    raise exception 'fenced: % is % in epoch %, the batch came with epoch %', p_import, i.status, i.epoch, p_epoch
      using errcode = 'WB001';
  end if;

  set constraints all immediate;
  for b in select x.* from waybill.revert_batches x where x.import_id = p_import and x.revert = p_revert
      and x.batch between p_first and p_last order by x.batch loop
    continue when exists (select from waybill.revert_receipts y
      where y.import_id = b.import_id and y.revert = b.revert and y.batch = b.batch);
    if b.superseded_at is not null then
      raise exception 'fenced: batch % was superseded', b.batch using errcode = 'WB001';
    end if;
    execute plan ->> 'check' into found_rows using b.first_place, b.last_place;
    if found_rows.rows <> b.rows or found_rows.digest <> b.digest then
      raise exception 'plan_lost: batch % of the revert of % has % rows with digest %, planned were % with %', b.batch,
        p_import, found_rows.rows, found_rows.digest, b.rows, b.digest using errcode = 'WB002';
    end if;
    r := null;
    r.import_id := b.import_id; r.revert := b.revert; r.batch := b.batch; r.epoch := p_epoch;
    r.removed := 0; r.restored := 0; r.failed := 0;
    r.gone := found_rows.gone; r.skipped := found_rows.skipped;
    r := waybill.undo(plan, 'remove', b, r);
    r := waybill.undo(plan, 'restore', b, r);
    r := waybill.undo(plan, 'reactivate', b, r);
    r := waybill.undo(plan, 'reinsert', b, r);
    r.committed_at := clock_timestamp();
    insert into waybill.revert_receipts values (r.*);
    return next r;
  end loop;
end $$;
