-- When a delivery will be tried again, for the eye; and the lists that the console shows.
alter table waybill.deliveries add column next_attempt_at timestamptz;
create index deliveries_by_endpoint on waybill.deliveries (endpoint_id, event_id desc);
create index deliveries_pending on waybill.deliveries (created_at) where state = 'pending';

-- The definition is ours, the Temporal Schedule is made from it: which revision it was last made from, and how
-- Temporal described it then, so that a change by hand on that side is seen.
alter table waybill.syncs
  add column revision int not null default 1,
  add column scheduled_revision int not null default 0,
  add column scheduled_as text;
create index syncs_by_tenant on waybill.syncs (tenant_id, created_at) where deleted_at is null;
create index sync_runs_by_time on waybill.sync_runs (sync_id, started_at desc);
create index imports_by_sync on waybill.imports (sync_id, created_at desc) where sync_id is not null;
