-- A status and its event change in one transaction, whoever changes the status.

create function waybill.record_status_event() returns trigger language plpgsql as $$
declare
  kind text := case
    when new.status = 'running' and old.started_at is null and new.started_at is not null then 'import.started'
    -- A revert that did not go through puts the status back as it was.
    when new.status = old.status or old.status = 'reverting' and new.status not in ('reverted', 'unproven') then null
    when new.status = 'waiting' then 'import.waiting'
    when new.status in ('completed', 'completed_with_issues') then 'import.completed'
    when new.status in ('failed', 'unproven') then 'import.failed'
    when new.status = 'cancelled' then 'import.cancelled'
    when new.status = 'reverted' then 'import.reverted'
  end;
begin
  new.updated_at := clock_timestamp();
  if kind is not null then
    insert into waybill.events (tenant_id, import_id, type, data)
    values (new.tenant_id, new.import_id, kind, jsonb_strip_nulls(jsonb_build_object(
      'id', new.import_id, 'dataset', new.dataset, 'status', new.status, 'fileName', new.file_name,
      'accounting', new.accounting, 'waitingFor', new.waiting_for, 'error', new.error,
      'syncId', new.sync_id)));
    perform pg_notify('waybill_events', new.import_id);
  end if;
  if new.status <> old.status or new.phase is distinct from old.phase
     or new.waiting_for is distinct from old.waiting_for then
    perform pg_notify('waybill_imports', new.import_id || ' ' || new.status);
  end if;
  return new;
end $$;

create trigger record_status_event before update on waybill.imports
  for each row execute function waybill.record_status_event();

-- The audit log is append-only, for everybody.
create function waybill.refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only';
end $$;
create trigger append_only before update or delete or truncate on waybill.audit
  for each statement execute function waybill.refuse_audit_change();
