-- Files in which the virus scanner found something: where each was moved to, and what was found. Nothing reads them.
create table waybill.quarantine (
  import_id text primary key references waybill.imports on delete cascade,
  tenant_id text not null references waybill.tenants,
  object_key text not null,
  signature text not null,
  scanner text not null,
  found_at timestamptz not null default now(),
  -- The file itself is gone; that it was there stays known, so that its import is never run again.
  removed_at timestamptz,
  removed_by text
);
create index quarantine_of_tenant on waybill.quarantine (tenant_id, found_at desc, import_id desc);
