-- A batch's transaction: one call of apply_batches, see docs/architecture.md, Exactly once. VOLATILE: every
-- statement inside sees what was committed before it began.
--
-- The statements themselves are the plan's program (db/apply-program.ts), frozen with the plan. Their parameters:
-- $1 first seq, $2 last seq, $3 records (null: those that the plan decided for), $4 wave, $5 batch.

-- Where two connections part the keys of the plan, one text for each part of the key.
alter table waybill.imports add column plan_split text[];
-- Its lanes have met in a deadlock: from then on they take turns.
alter table waybill.imports add column one_lane boolean not null default false;

-- What weighs on the database, for imports that are to give way. As its owner, who sees other sessions; replicas only
-- where the owner may (pg_monitor).
create function waybill.pressure(out lag_ms float8, out lock_waits int) language sql stable security definer
set search_path = pg_catalog
begin atomic
  select (select max(extract(epoch from replay_lag) * 1000) from pg_stat_replication),
    (select count(*) from pg_stat_activity w where w.datname = current_database() and w.wait_event_type = 'Lock'
       and w.application_name not like 'waybill worker%'
       and exists (select from pg_stat_activity h where h.application_name like 'waybill worker%'
         and h.pid = any(pg_blocking_pids(w.pid))));
end;

create function waybill.is_row_fault(p_sqlstate text) returns boolean language sql immutable
  -- Connection, transaction state, rollback, privileges and schema, resources, locks, operator, system, internal,
  -- feature not supported, and our own: never a row's fault.
  return left(p_sqlstate, 2) not in ('08', '0A', '25', '40', '42', '53', '55', '57', '58', 'XX', 'WB');

create function waybill.failure_sentence(p_sqlstate text, p_constraint text, p_column text, p_message text,
  out code text, out message text) language plpgsql immutable as $$
begin
  code := case p_sqlstate
    when '23502' then 'missing_value' when '23503' then 'reference_missing' when '23505' then 'not_unique'
    when '23514' then 'check_failed' when '23P01' then 'not_unique' when 'P0001' then 'refused_by_trigger'
    when '22001' then 'too_long' when '22003' then 'out_of_range' else 'refused_by_target' end;
  message := case code
    when 'missing_value' then format('The table needs a value in "%s".', p_column)
    when 'reference_missing' then format('A record that this row refers to was not there when it was written (%s). If it is in the same file, import this row once more.', p_constraint)
    when 'not_unique' then format('Another record already has this value (%s).', p_constraint)
    when 'check_failed' then format('The value breaks the table''s rule "%s".', p_constraint)
    when 'refused_by_trigger' then format('The table''s own rule refused the row: %s', p_message)
    when 'too_long' then 'A value is longer than the table allows.'
    when 'out_of_range' then 'A number is larger than the table can hold.'
    else format('The table refused the row (%s).', p_sqlstate) end;
end $$;

-- Runs a writing statement over a range of seq; where a row makes it fail, halves the range until that row stands
-- alone. `back`: the records that came back from the write. `failures`: [{seq, code, message, again}]; `again`: what it
-- refers to may have come into the table since. `p_by_hash`: the statement joins a range with what it brought back.
create function waybill.write_range(p_sql text, p_first bigint, p_last bigint, p_records bigint[], p_wave int,
  p_batch int, p_by_hash boolean default false, out back bigint[], out failures jsonb) language plpgsql as $$
declare
  state text; constraint_name text; column_name text; message text;
  half bigint;
  one record;
begin
  begin
    -- What came back has neither index nor statistics: one loop within the other takes half a minute for a batch.
    if p_by_hash then
      perform set_config('enable_nestloop', 'off', true), set_config('enable_hashjoin', 'on', true);
    end if;
    execute p_sql into back using p_first, p_last, p_records, p_wave, p_batch;
    perform set_config('enable_nestloop', 'on', true), set_config('enable_hashjoin', 'off', true);
    back := coalesce(back, '{}');
    failures := '[]';
    return;
  exception when others then
    get stacked diagnostics state = returned_sqlstate, constraint_name = constraint_name,
      column_name = column_name, message = message_text;
    if not waybill.is_row_fault(state) then
      raise;
    end if;
  end;
  if p_first = p_last then
    select * into one from waybill.failure_sentence(state, constraint_name, column_name, message);
    back := '{}';
    failures := jsonb_build_array(jsonb_build_object('seq', p_first, 'code', one.code, 'message', one.message,
      'again', state = '23503' and exists (select from pg_constraint c
        where c.conname = constraint_name and c.contype = 'f' and c.confrelid = c.conrelid)));
    return;
  end if;
  half := p_first + (p_last - p_first) / 2;
  select * into one from waybill.write_range(p_sql, p_first, half, p_records, p_wave, p_batch, p_by_hash);
  back := one.back;
  failures := one.failures;
  select * into one from waybill.write_range(p_sql, half + 1, p_last, p_records, p_wave, p_batch, p_by_hash);
  back := back || one.back;
  failures := failures || one.failures;
end $$;

-- `insert` or `update` of a plan's rows. Where the table refers to itself, rows that were refused for the want of a
-- record are tried again, together, as long as that brings more of them in: it may have come with the others.
create function waybill.write_rows(p_program jsonb, p_kind text, b waybill.batches, p_records bigint[], out back bigint[],
  out failures jsonb) language plpgsql as $$
declare
  w record;
  records bigint[];
  f jsonb;
  one bigint;
begin
  select * into w from waybill.write_range(p_program ->> p_kind, b.first_seq, b.last_seq, p_records, b.wave, b.batch,
    p_kind = 'insert');
  back := w.back;
  failures := w.failures;
  while cardinality(w.back) > 0 and jsonb_path_exists(failures, '$[*] ? (@.again == true)') loop
    records := '{}';
    for f in select * from jsonb_path_query(failures, '$[*] ? (@.again == true)') loop
      execute p_program ->> 'record_of' into one using (f ->> 'seq')::bigint;
      records := records || one;
    end loop;
    select * into w from waybill.write_range(p_program ->> p_kind, b.first_seq, b.last_seq, records, b.wave, b.batch,
      p_kind = 'insert');
    back := back || w.back;
    failures := jsonb_path_query_array(failures, '$[*] ? (@.again == false)') || w.failures;
  end loop;
end $$;

create function waybill.without(p_all bigint[], p_some bigint[]) returns bigint[] language sql immutable
  return array(select unnest(p_all) except select unnest(p_some));

-- Notes what happened to records where it is not what the plan decided.
create function waybill.note_outcomes(p_import text, p_wave int, p_batch int, p_records bigint[], p_decision text,
  p_outcome text, p_code text, p_message text) returns int language plpgsql as $$
begin
  insert into waybill.outcomes (import_id, record, wave, batch, decision, outcome, code, message)
  select p_import, r, p_wave, p_batch, p_decision, p_outcome, p_code, p_message from unnest(p_records) r;
  return cardinality(p_records);
end $$;

create function waybill.note_failures(p_import text, p_wave int, p_batch int, p_program jsonb, p_failures jsonb,
  p_decision text) returns bigint[] language plpgsql as $$
declare
  records bigint[] := '{}';
  f jsonb;
  record_number bigint;
begin
  for f in select * from jsonb_array_elements(p_failures) loop
    execute p_program ->> 'record_of' into record_number using (f ->> 'seq')::bigint;
    insert into waybill.outcomes (import_id, record, wave, batch, decision, outcome, code, message)
    values (p_import, record_number, p_wave, p_batch, p_decision, 'failed', f ->> 'code', f ->> 'message');
    records := records || record_number;
  end loop;
  return records;
end $$;

create function waybill.apply_batch(p_epoch int, p_mode text, p_program jsonb, p_look_at_unchanged boolean, b waybill.batches)
returns waybill.receipts language plpgsql as $$
declare
  r waybill.receipts;
  found_rows record;
  w record;
  c record;
  n bigint;
  -- Records that a statement should have brought back and did not, and those that a row's own fault explains.
  lost bigint[];
  broken bigint[];
  more bigint[];
  one_by_one boolean := p_program ->> 'insert_fast' is null;
  reviewed boolean := (p_program ->> 'reviewed')::boolean;
  refused constant text := 'The table did not take the row and gave no reason (a rule or trigger of the table).';
begin
  if b.missing then
    return waybill.apply_missing(p_epoch, p_program, b);
  end if;
  r.import_id := b.import_id; r.wave := b.wave; r.batch := b.batch; r.epoch := p_epoch;
  r.created := 0; r.updated := 0; r.unchanged := 0; r.stale := 0; r.failed := 0;
  r.deactivated := 0; r.deleted := 0; r.gone := 0; r.kept := 0;
  r.backend_pid := pg_backend_pid();

  execute p_program ->> 'check' into found_rows using b.first_seq, b.last_seq;
  if found_rows.rows <> b.rows or found_rows.digest <> b.digest then
    raise exception 'plan_lost: batch %.% of % has % rows with digest %, approved were % with %', b.wave, b.batch,
      b.import_id, found_rows.rows, found_rows.digest, b.rows, b.digest using errcode = 'WB002';
  end if;
  r.unchanged := found_rows.unchanged;
  if p_look_at_unchanged and found_rows.unchanged > 0 then
    execute p_program ->> 'planned' into lost using b.first_seq, b.last_seq, 'unchanged';
    execute p_program ->> 'classify' into c using b.first_seq, b.last_seq, lost;
    n := waybill.note_outcomes(b.import_id, b.wave, b.batch, c.different || c.absent, 'unchanged', 'stale', 'stale',
      'The record was equal to the row when the plan was made and has been changed or removed since.');
    r.unchanged := r.unchanged - n;
    r.stale := n;
  end if;

  if found_rows.creates > 0 then
    if not one_by_one then
      begin
        execute p_program ->> 'insert_fast' using b.first_seq, b.last_seq;
        get diagnostics n = row_count;
        if n = found_rows.creates then
          r.created := n;
        else
          -- Something kept rows from going in: undo, and do it again with the rows named.
          raise exception 'short' using errcode = 'P0WB1';
        end if;
      exception when others then
        if not waybill.is_row_fault(sqlstate) then
          raise;
        end if;
        one_by_one := true;
      end;
    end if;
    if one_by_one then
      select * into w from waybill.write_rows(p_program, 'insert', b, null);
      r.created := cardinality(w.back);
      broken := waybill.note_failures(b.import_id, b.wave, b.batch, p_program, w.failures, 'create');
      r.failed := r.failed + cardinality(broken);
      execute p_program ->> 'planned' into lost using b.first_seq, b.last_seq, 'create';
      lost := waybill.without(lost, w.back || broken);
      if cardinality(lost) > 0 then
        execute p_program ->> 'classify' into c using b.first_seq, b.last_seq, lost;
        r.failed := r.failed + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.absent, 'create', 'failed',
          'refused_by_target', refused);
        if p_mode = 'insert' then
          r.failed := r.failed + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.equal || c.different, 'create',
            'failed', 'key_exists', 'A record with this key was added meanwhile, and this import only adds new records.');
        else
          r.unchanged := r.unchanged + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.equal, 'create',
            'unchanged', null, null);
          if reviewed then
            r.stale := r.stale + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.different, 'create', 'stale',
              'stale', 'A record with this key was added after the plan was approved.');
          elsif cardinality(c.different) > 0 then
            select * into w from waybill.write_rows(p_program, 'update', b, c.different);
            r.updated := r.updated + waybill.note_outcomes(b.import_id, b.wave, b.batch, w.back, 'create', 'updated',
              null, null);
            broken := waybill.note_failures(b.import_id, b.wave, b.batch, p_program, w.failures, 'create');
            r.failed := r.failed + cardinality(broken) + waybill.note_outcomes(b.import_id, b.wave, b.batch,
              waybill.without(c.different, w.back || broken), 'create', 'failed', 'refused_by_target', refused);
          end if;
        end if;
      end if;
    end if;
  end if;

  if found_rows.updates > 0 then
    select * into w from waybill.write_rows(p_program, 'update', b, null);
    r.updated := r.updated + cardinality(w.back);
    broken := waybill.note_failures(b.import_id, b.wave, b.batch, p_program, w.failures, 'update');
    r.failed := r.failed + cardinality(broken);
    if cardinality(w.back) + cardinality(broken) < found_rows.updates then
      execute p_program ->> 'planned' into lost using b.first_seq, b.last_seq, 'update';
      lost := waybill.without(lost, w.back || broken);
      execute p_program ->> 'classify' into c using b.first_seq, b.last_seq, lost;
      r.unchanged := r.unchanged + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.equal, 'update', 'unchanged',
        null, null);
      if reviewed then
        r.stale := r.stale
          + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.different, 'update', 'stale', 'stale',
              'The record was changed after the plan was approved.')
          + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.absent, 'update', 'stale', 'stale',
              'The record was removed after the plan was approved.');
      else
        r.failed := r.failed + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.different, 'update', 'failed',
          'refused_by_target', refused);
        if p_mode = 'update' then
          r.failed := r.failed + waybill.note_outcomes(b.import_id, b.wave, b.batch, c.absent, 'update', 'failed',
            'no_such_record', 'The record was removed meanwhile, and this import only updates.');
        elsif cardinality(c.absent) > 0 then
          select * into w from waybill.write_rows(p_program, 'insert', b, c.absent);
          r.created := r.created + waybill.note_outcomes(b.import_id, b.wave, b.batch, w.back, 'update', 'created',
            null, null);
          broken := waybill.note_failures(b.import_id, b.wave, b.batch, p_program, w.failures, 'update');
          more := waybill.without(c.absent, w.back || broken);
          r.failed := r.failed + cardinality(broken) + waybill.note_outcomes(b.import_id, b.wave, b.batch, more,
            'update', 'failed', 'refused_by_target', refused);
        end if;
      end if;
    end if;
  end if;

  r.committed_at := clock_timestamp();
  insert into waybill.receipts values (r.*);
  return r;
end $$;

create function waybill.apply_batches(p_import text, p_epoch int, p_wave int, p_first int, p_last int)
returns setof waybill.receipts language plpgsql volatile
-- A batch is some thousand rows in seq order against a target of any size: always index look-ups. With the choice
-- left to it the planner scanned a large target once for every batch.
-- And plain index scans, whose rows come in the order of seq: a bitmap's are sorted again.
-- Nor kept in memory to be gone through row by row: of a target never analyzed it takes a tenant to have 17 records, and
-- 6,000 took half a minute for the lock alone.
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off
set enable_material = off set jit = off set max_parallel_workers_per_gather = 0
as $$
declare
  i waybill.imports;
  b waybill.batches;
  program jsonb;
  look_at_unchanged boolean;
begin
  select * into i from waybill.imports where import_id = p_import;
  if not found then
    raise exception 'no import %', p_import using errcode = 'WB404';
  end if;
  if i.one_lane then
    -- Before the import's own lock: who waits for the other lane must not hold up a pause.
    perform pg_advisory_xact_lock(7297, (i.lock_key % 2147483648)::int);
  end if;
  perform pg_advisory_xact_lock_shared(i.lock_key);
  -- A second attempt at the same batches waits here until the first has committed or died.
  perform 1 from waybill.batches x where x.import_id = p_import and x.wave = p_wave
    and x.batch between p_first and p_last order by x.batch for update;

  -- The receipt first, whatever the status: what is done is done.
  return query select * from waybill.receipts x where x.import_id = p_import and x.wave = p_wave
    and x.batch between p_first and p_last;
  if not exists (select from waybill.batches x where x.import_id = p_import and x.wave = p_wave
      and x.batch between p_first and p_last and not exists (select from waybill.receipts y
        where y.import_id = x.import_id and y.wave = x.wave and y.batch = x.batch)) then
    return;
  end if;

  select * into i from waybill.imports where import_id = p_import;
  if i.status <> 'running' or i.epoch <> p_epoch
     or not exists (select from waybill.turns t where t.turn = i.turn and t.holder = p_import) then
    raise exception 'fenced: % is % in epoch %, the batch came with epoch %', p_import, i.status, i.epoch, p_epoch
      using errcode = 'WB001';
  end if;

  -- What was found equal in our own turn is equal. A plan that waited for a person, or lost its turn, looks again.
  select p.program, (p.program ->> 'reviewed')::boolean and (v.approved_by <> 'guard' or v.wave > 1)
    into program, look_at_unchanged from waybill.waves v
    join waybill.plans p on p.import_id = v.import_id and p.version = v.plan_version
    where v.import_id = p_import and v.wave = p_wave;
  if program is null then
    raise exception 'plan_lost: nobody has approved wave % of %', p_wave, p_import using errcode = 'WB002';
  end if;
  set constraints all immediate;
  for b in select x.* from waybill.batches x where x.import_id = p_import and x.wave = p_wave
      and x.batch between p_first and p_last order by x.batch loop
    continue when exists (select from waybill.receipts y
      where y.import_id = b.import_id and y.wave = b.wave and y.batch = b.batch);
    if b.superseded_at is not null then
      raise exception 'fenced: batch %.% was superseded', b.wave, b.batch using errcode = 'WB001';
    end if;
    return next waybill.apply_batch(p_epoch, i.mode, program, look_at_unchanged, b);
  end loop;
end $$;
