-- What the two processes may do; run at every start, after the migrations. Neither may change the audit log, the
-- targets of anybody else, or the schema.

revoke all on schema waybill, stage, catalog from public;

grant usage on schema waybill, stage, catalog to waybill_api, waybill_worker;
grant create on schema stage to waybill_worker;

grant select, insert, update on all tables in schema waybill to waybill_api, waybill_worker;
grant delete on waybill.tickets, waybill.progress, waybill.issues, waybill.issue_counts, waybill.uploads,
  waybill.batches, waybill.waves, waybill.webhook_endpoints, waybill.idempotency_keys to waybill_api, waybill_worker;
revoke update on waybill.audit from waybill_api, waybill_worker;
-- Which tables a tenant may load into is the database owner's business (waybill.grant_target).
revoke insert, update on waybill.target_grants from waybill_api, waybill_worker;
-- What a batch decided is written by the worker alone.
revoke insert, update on waybill.plans, waybill.waves, waybill.receipts, waybill.outcomes from waybill_api;
revoke insert, update, delete on waybill.batches from waybill_api;
revoke delete on waybill.waves from waybill_api;
-- Receipts and plans are never changed.
revoke update on waybill.receipts, waybill.plans from waybill_worker;
-- The same for what undoes them; the maps of keys are made, and dropped, by the worker.
revoke insert, update on waybill.revert_batches, waybill.revert_receipts, waybill.revert_outcomes, waybill.key_maps,
  waybill.key_blocks from waybill_api;
revoke update on waybill.revert_receipts, waybill.revert_outcomes from waybill_worker;
grant delete on waybill.key_maps, waybill.key_blocks, waybill.outcomes, waybill.revert_outcomes to waybill_worker;
-- But what the guard said of a plan is noted after it was made.
grant update (guard, judged_at) on waybill.plans to waybill_worker;

grant select on all tables in schema catalog to waybill_api;
grant select, insert, update, delete on all tables in schema catalog to waybill_worker;
alter default privileges for role waybill_worker in schema stage grant select on tables to waybill_api;
