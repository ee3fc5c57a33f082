-- The control tables. Everything that decides what happened to a row is in this database, beside the targets.

create schema waybill;
create schema stage;
create schema catalog;

comment on schema waybill is 'Waybill: control data';
comment on schema stage is 'Waybill: tables of single imports (staging rows, plan, images)';
comment on schema catalog is 'Waybill: the built-in target tables';

-- People, tenants, access ------------------------------------------------------------------------------------

create table waybill.tenants (
  tenant_id text primary key check (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  name text not null,
  created_at timestamptz not null default now()
);
insert into waybill.tenants values ('default', 'Default');

create domain waybill.role as text check (value in ('viewer', 'operator', 'approver', 'admin'));

-- Secrets are kept as sha256 only.
create table waybill.tokens (
  token_hash bytea primary key,
  tenant_id text not null references waybill.tenants,
  name text not null,
  role waybill.role not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);
create table waybill.sign_in_links (
  link_hash bytea primary key,
  tenant_id text not null references waybill.tenants,
  person text not null,
  role waybill.role not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz
);
create table waybill.sessions (
  session_hash bytea primary key,
  tenant_id text not null references waybill.tenants,
  person text not null,
  role waybill.role not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz
);

-- Which tables a tenant may load into. The built-in targets are everybody's: their keys contain tenant_id.
create table waybill.target_grants (
  tenant_id text not null references waybill.tenants,
  target_schema text not null,
  target_table text not null,
  primary key (tenant_id, target_schema, target_table)
);

-- Datasets and profiles --------------------------------------------------------------------------------------

create table waybill.datasets (
  tenant_id text not null references waybill.tenants,
  name text not null,
  version int not null,
  definition jsonb not null,
  created_by text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, name, version)
);

create table waybill.profiles (
  tenant_id text not null references waybill.tenants,
  dataset text not null,
  name text not null,
  version int not null,
  -- sha256 of the header cells: the same header finds the mapping that was confirmed for it.
  header_digest text,
  mapping jsonb not null,
  mapping_digest text not null,
  made_by text not null,
  by_person boolean not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, dataset, name, version)
);
create index profiles_by_header on waybill.profiles (tenant_id, dataset, header_digest, created_at desc);

-- Imports ----------------------------------------------------------------------------------------------------

create domain waybill.status as text check (value in (
  'uploading', 'queued', 'running', 'paused', 'waiting', 'completed', 'completed_with_issues', 'unproven',
  'failed', 'cancelled', 'reverting', 'reverted'));
create domain waybill.phase as text check (value in (
  'download', 'inspect', 'map', 'validate', 'review', 'apply', 'notify'));

create table waybill.imports (
  import_id text primary key,
  -- Names the import's advisory lock and its tables in schema stage.
  lock_key bigint generated always as identity unique,
  tenant_id text not null references waybill.tenants,
  dataset text not null,
  dataset_version int not null,
  profile text,
  profile_version int,
  source jsonb not null,
  file_name text not null,
  content_type text,
  object_key text,
  object_etag text,
  file_size bigint,
  file_sha256 text,
  content_sha256 text,
  policy text not null default 'auto' check (policy in ('auto', 'review', 'guard')),
  mode text not null default 'upsert' check (mode in ('upsert', 'insert', 'update', 'add')),
  options jsonb not null default '{}',
  status waybill.status not null,
  phase waybill.phase,
  -- {what, since, nextTryAt, ...}: why nothing moves.
  waiting_for jsonb,
  -- Rises with every claim, stop, resume, retry and rebuild; a batch of an older epoch is fenced.
  epoch int not null default 0,
  -- {epoch, n}: the phase is the n-th that the run has entered in it.
  entered int[] not null default '{0,0}',
  -- Which staging tables are the current ones.
  incarnation int not null default 0,
  -- The profile that the staged rows were made with is pinned by (profile, profile_version).
  manifest_key text,
  -- What the map phase proposed, while (and after) a person looks at it.
  mapping_proposal jsonb,
  input_accepted bigint,
  input_rejected bigint,
  plan_version int not null default 0,
  -- The generation of the turn in which the plan was last decided.
  turn text,
  turn_generation bigint,
  accounting jsonb,
  error jsonb,
  error_report_key text,
  proof_key text,
  workflow_run_id text,
  -- Started again by the reconciler without a new receipt since.
  restarts int not null default 0,
  restarted_at_receipts bigint,
  idempotency_key text,
  sync_id text,
  created_by text not null,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  updated_at timestamptz not null default now()
);
create index imports_by_tenant on waybill.imports (tenant_id, created_at desc, import_id);
create index imports_open on waybill.imports (status)
  where status in ('uploading', 'queued', 'running', 'paused', 'waiting', 'reverting');
create index imports_by_content on waybill.imports (tenant_id, dataset, content_sha256) where content_sha256 is not null;

create table waybill.phases (
  import_id text not null references waybill.imports,
  name waybill.phase not null,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  primary key (import_id, name)
);

-- How far a phase is that leaves neither marks nor receipts: a hint for the eye, so it need not survive a crash.
create unlogged table waybill.progress (
  import_id text primary key,
  data jsonb not null,
  updated_at timestamptz not null default clock_timestamp()
);

create table waybill.uploads (
  import_id text primary key references waybill.imports,
  store_upload_id text not null,
  part_size bigint not null,
  declared_size bigint,
  expires_at timestamptz not null,
  completed_at timestamptz,
  aborted_at timestamptz
);

create table waybill.idempotency_keys (
  tenant_id text not null references waybill.tenants,
  route text not null,
  key text not null,
  body_digest text not null,
  -- Null while the first request is still being answered.
  status int,
  body jsonb,
  created_at timestamptz not null default now(),
  primary key (tenant_id, route, key)
);

-- Turns: the right to apply to (a tenant's part of) a target; slots of heavy imports use the same tickets. ------

create table waybill.turns (
  turn text primary key,
  holder text references waybill.imports,
  -- Rises each time that another import takes the turn: what was decided in an older one may be out of date.
  generation bigint not null default 0,
  last_holder text,
  taken_at timestamptz
);
create table waybill.tickets (
  turn text not null,
  import_id text not null references waybill.imports,
  ticket bigint generated always as identity,
  requested_at timestamptz not null default now(),
  primary key (turn, import_id)
);
create index tickets_in_order on waybill.tickets (turn, ticket);

-- Plan, waves, batches, receipts, ledger -----------------------------------------------------------------------

create table waybill.plans (
  import_id text not null references waybill.imports,
  version int not null,
  -- Epoch in which it was made: asked again in the same epoch, planning returns what is there.
  epoch int not null,
  digest text not null,
  counts jsonb not null,
  -- The statements that apply this plan, see db/apply-program.ts.
  program jsonb not null,
  -- What the guard saw and said.
  guard jsonb,
  -- Its issues are recorded and the guard has been asked. Null: planning was broken off in between.
  judged_at timestamptz,
  made_at timestamptz not null default clock_timestamp(),
  primary key (import_id, version)
);

create table waybill.waves (
  import_id text not null,
  wave int not null,
  plan_version int not null,
  approved_by text not null,
  approved_at timestamptz not null default clock_timestamp(),
  primary key (import_id, wave),
  foreign key (import_id, plan_version) references waybill.plans
);

-- Written before apply and never changed, but for `superseded_at` of a batch that will never run.
create table waybill.batches (
  import_id text not null,
  wave int not null,
  batch int not null,
  first_seq bigint not null,
  last_seq bigint not null,
  rows int not null,
  digest bigint not null,
  superseded_at timestamptz,
  primary key (import_id, wave, batch)
);

create table waybill.receipts (
  import_id text not null,
  wave int not null,
  batch int not null,
  epoch int not null,
  created int not null,
  updated int not null,
  unchanged int not null,
  stale int not null,
  failed int not null,
  backend_pid int not null default pg_backend_pid(),
  committed_at timestamptz not null default clock_timestamp(),
  primary key (import_id, wave, batch),
  foreign key (import_id, wave, batch) references waybill.batches
);

-- Where what happened is not what was decided; with the plan it is the ledger.
create table waybill.outcomes (
  import_id text not null,
  record bigint not null,
  wave int not null,
  batch int not null,
  decision text not null,
  outcome text not null check (outcome in ('created', 'updated', 'unchanged', 'stale', 'failed')),
  code text,
  message text,
  primary key (import_id, record, wave)
);

-- The first 1,000 issues, and exact counts of all.
create table waybill.issues (
  import_id text not null references waybill.imports,
  ordinal int not null,
  record bigint not null,
  line bigint not null,
  column_name text,
  field text,
  code text not null,
  severity text not null,
  value text,
  message text not null,
  suggestion text,
  primary key (import_id, ordinal)
);
create table waybill.issue_counts (
  import_id text not null references waybill.imports,
  code text not null,
  severity text not null,
  count bigint not null,
  primary key (import_id, code, severity)
);

-- Events, audit --------------------------------------------------------------------------------------------------

create table waybill.events (
  event_id bigint generated always as identity primary key,
  tenant_id text not null references waybill.tenants,
  import_id text references waybill.imports,
  type text not null,
  data jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  dispatched_at timestamptz
);
create index events_undispatched on waybill.events (event_id) where dispatched_at is null;
create index events_by_tenant on waybill.events (tenant_id, event_id);
create index events_by_import on waybill.events (import_id, event_id);

create table waybill.audit (
  audit_id bigint generated always as identity primary key,
  tenant_id text not null references waybill.tenants,
  import_id text references waybill.imports,
  actor text not null,
  action text not null,
  reason text,
  detail jsonb,
  at timestamptz not null default clock_timestamp()
);
create index audit_by_import on waybill.audit (import_id, audit_id);
create index audit_by_tenant on waybill.audit (tenant_id, audit_id desc);

create table waybill.webhook_endpoints (
  endpoint_id text primary key,
  tenant_id text not null references waybill.tenants,
  url text not null,
  description text,
  events text[] not null,
  datasets text[],
  secret text not null,
  -- Valid beside `secret` until the given time, so that receivers can change over.
  previous_secret text,
  previous_secret_until timestamptz,
  enabled boolean not null default true,
  disabled_reason text,
  created_by text not null,
  created_at timestamptz not null default now()
);
create index webhook_endpoints_by_tenant on waybill.webhook_endpoints (tenant_id);

create table waybill.deliveries (
  event_id bigint not null references waybill.events,
  endpoint_id text not null references waybill.webhook_endpoints on delete cascade,
  state text not null check (state in ('pending', 'delivered', 'given_up')),
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  primary key (event_id, endpoint_id)
);
create table waybill.delivery_attempts (
  event_id bigint not null,
  endpoint_id text not null,
  attempt int not null,
  at timestamptz not null,
  duration_ms int not null,
  status int,
  error text,
  response_excerpt text,
  primary key (event_id, endpoint_id, attempt),
  foreign key (event_id, endpoint_id) references waybill.deliveries on delete cascade
);

create table waybill.syncs (
  sync_id text primary key,
  tenant_id text not null references waybill.tenants,
  name text not null,
  url text not null,
  dataset text not null,
  profile text,
  policy text not null default 'guard' check (policy in ('auto', 'review', 'guard')),
  mode text not null default 'upsert',
  cron text not null,
  time_zone text not null default 'UTC',
  paused boolean not null default false,
  note text,
  -- What the last run that took effect saw, for a conditional GET.
  etag text,
  last_modified text,
  content_sha256 text,
  created_by text not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz
);
create unique index syncs_by_name on waybill.syncs (tenant_id, name) where deleted_at is null;

create table waybill.sync_runs (
  sync_id text not null references waybill.syncs,
  run_id text not null,
  import_id text references waybill.imports,
  outcome text check (outcome in ('unchanged', 'imported', 'waiting', 'failed', 'skipped')),
  message text,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  primary key (sync_id, run_id)
);

-- The built-in targets ---------------------------------------------------------------------------------------------

create table catalog.products (
  product_id bigint generated always as identity primary key,
  tenant_id text not null,
  sku text not null,
  name text,
  description text,
  price numeric(18, 4),
  quantity numeric(18, 4),
  active boolean not null default true
);
create unique index products_key on catalog.products (tenant_id, lower(sku));

create table catalog.clients (
  client_id bigint generated always as identity primary key,
  tenant_id text not null,
  email text not null,
  company text,
  contact_name text,
  phone text,
  status text
);
create unique index clients_key on catalog.clients (tenant_id, lower(email));

create table catalog.opening_stock (
  opening_stock_id bigint generated always as identity primary key,
  tenant_id text not null,
  serial_number text not null,
  item_code text not null,
  qty numeric(18, 4) not null
);
create unique index opening_stock_key on catalog.opening_stock (tenant_id, serial_number);

create table catalog.price_list (
  price_list_id bigint generated always as identity primary key,
  tenant_id text not null,
  item_code text not null,
  currency text not null,
  valid_from date not null,
  price numeric(18, 4) not null
);
create unique index price_list_key on catalog.price_list (tenant_id, item_code, currency, valid_from);
