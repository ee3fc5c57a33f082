-- An import that goes in as a whole or not at all, settled when it is planned: `nothing`, in one transaction; `undone`
-- where it has more rows than one transaction should hold: in batches, and undone by itself if it does not get through.
alter table waybill.imports add column all_or text check (all_or in ('nothing', 'undone'));
