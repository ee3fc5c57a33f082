-- An import that goes in as a whole or not at all, settled when it is planned: `nothing`, in one transaction; `undone`
-- where it has more rows than one transaction should hold: in batches, and undone by itself if it does not get through.
alter table waybill.imports add column all_or text check (all_or in ('nothing', 'undone'));

-- It has ended without being whole, rows of it are there, and nothing has begun to undo them since it ended.
create function waybill.is_to_be_undone(i waybill.imports) returns boolean language sql stable
  return i.all_or = 'undone' and i.status in ('cancelled', 'failed')
    and exists (select from waybill.receipts r where r.import_id = i.import_id
      and r.created + r.updated + r.deactivated + r.deleted > 0)
    and to_regclass('stage.images_' || i.lock_key) is not null
    and not exists (select from waybill.reverts v where v.import_id = i.import_id and v.requested_at > i.finished_at);
