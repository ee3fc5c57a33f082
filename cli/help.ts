const READING = `  --sheet NAME  --encoding LABEL  --delimiter CHAR (or tab)  --quote CHAR ('' for none)
  --header-row LINE (0: the file has no header)  --keep-footer (the last lines are records, not totals or notes)`;

const IMPORT_OPTIONS = `  --dataset NAME       where the rows go (required)
  --profile NAME       how this source looks
  --mode M             upsert (default), insert, update or add
  --allow-duplicate    import a file again that was imported before
  --missing ACTION     what becomes of records that the file, a full catalogue, does not have: ignore (default),
                       deactivate (with --inactive FIELD=VALUE, such as active=false) or delete
  --scope CONDITION    which records the file answers for: supplier=ACME (also != ^= < <= > >=; FIELD= and FIELD!= ask
                       whether it is empty; all of several hold), or written-by-profile
  --limit NAME=N       a limit of the policy guard: changed, removed, blocked (shares of 1), median (times)
  --atomic             all rows or none: one transaction, refused if a row is blocked
${READING}
  --json               print the import as one JSON document`;

const pages: Record<string, string> = {
  import: `waybill import FILE --dataset NAME [options]

Imports a file and stays until the run ends or waits for a person. Ctrl-C leaves it running.

${IMPORT_OPTIONS.replace('  --mode', '  --policy P           auto (default), review or guard\n  --mode')}
`,
  plan: `waybill plan FILE --dataset NAME [options]

Reads, checks and decides every row and stops before anything is written ("apply" or "discard" goes on).

${IMPORT_OPTIONS}
`,
  apply:
    'waybill apply ID [--json]\n\nApproves the plan of a waiting import as it is now, and stays until the run ends.\n',
  discard:
    'waybill discard ID [--reason TEXT] [--json]\n\nRefuses the plan of a waiting import: nothing is written.\n',
  watch: 'waybill watch ID [--json]\n\nShows a run until it ends or waits for a person.\n',
  pause:
    'waybill pause ID [--reason TEXT] [--json]\n\nStops a run between two transactions; it holds nothing while it is paused.\n',
  resume: 'waybill resume ID [--reason TEXT] [--json]\n\nLets a paused run go on.\n',
  cancel:
    'waybill cancel ID [--reason TEXT] [--json]\n\nEnds a run. What was committed stays; "retry" goes on from there.\n',
  retry:
    'waybill retry ID [--json]\n\nRuns a failed or cancelled import again, from where it stopped, without a new upload.\n',
  revert: `waybill revert ID [--preview] [--force changed,seen-later] [--reason TEXT] [--json]

Undoes an import that has ended: records that it created are removed, records that it updated get back what they had.
What was changed since, what a later import had a row for, and what others refer to is left alone and listed; --force
undoes it all the same (never what others refer to). --preview only says what would be done.
`,
  errors:
    'waybill errors ID [--csv] [--limit N] [--json]\n\nThe issues of a run. --csv prints the whole report, to be corrected and imported again.\n',
  proof: `waybill proof ID [--sql | --json]

Checks the proof of a run against the database and prints each check; exit 1 if one fails. --sql prints the statements,
for anybody to run; --json the proof file: hashes, receipts, accounting, as it was when the run ended.
`,
  results: `waybill results ID --kind written|failed|not-processed|unchanged|duplicate|missing

Prints rows of the file by what came of them, in its own columns, to be imported again. missing: the records that the
file did not have, with what became of each.
`,
  imports:
    'waybill imports [--status S] [--dataset NAME] [--limit N] [--json]\n\nImports, the newest first.\n',
  inspect: `waybill inspect FILE [options] [--json]\n\nSays what a file is. Needs no running service.\n\n${READING}\n`,
  convert: `waybill convert FILE [--rejects FILE] [--repair] [options]

Writes a file as UTF-8 CSV to standard output. Needs no running service.

  --rejects FILE       lists the rows that could not be read, one JSON document a line: line, code, message, raw, suggestion
  --repair             writes such a row repaired where the other rows allow just one repair; --rejects marks it
${READING}
`,
  datasets: `waybill datasets list [--json]
waybill datasets show NAME [--json]
waybill datasets introspect SCHEMA.TABLE [--name NAME] [--key INDEX] [--json]
waybill datasets add SCHEMA.TABLE|FILE.json|- [--name NAME] [--key INDEX] [--replace] [--json]
waybill datasets remove NAME

Where rows go. "introspect" says what a dataset over an existing table would be; its --json can be edited and is what
"add" takes. The table has to be given to the tenant first: npm run grant -- SCHEMA.TABLE
`,
  profiles: `waybill profiles list --dataset NAME [--json]
waybill profiles show PROFILE --dataset NAME [--version N] [--json]
waybill profiles export PROFILE --dataset NAME [--version N] > FILE
waybill profiles import FILE (or - for standard input) [--json]
waybill profiles replay PROFILE --dataset NAME --import ID [--from N] [--to N] [--limit ROWS] [--json]

How sources look: which column feeds which field, and what is done to its cells (docs/profiles.md). "replay" reads the
file of an old import with two versions of a profile, on this machine, and shows what would come out differently;
without --from it is the version that the import used, without --to the latest. Nothing is written.
`,
  webhooks: `waybill webhooks list [--json]
waybill webhooks add URL [--event E]... [--dataset NAME]... [--description TEXT] [--json]
waybill webhooks test ID [--json]
waybill webhooks remove ID

Endpoints that are told of events, signed as Standard Webhooks. The secret is shown once, when one is added.
`,
  syncs: `waybill syncs list [--json]
waybill syncs add NAME --url URL --dataset NAME --cron "0 3 * * *" [--time-zone Asia/Tokyo] [--profile P]
              [--policy guard|auto|review] [--mode M] [--json]
waybill syncs run|resume|remove ID
waybill syncs pause ID [--note TEXT]
waybill syncs history ID [--json]

Imports that fetch a URL by themselves, on a schedule.
`,
};

const OVERVIEW = `waybill: durable file imports into PostgreSQL

  import FILE --dataset NAME    import a file
  plan FILE --dataset NAME      decide every row and stop before writing
  apply ID, discard ID          answer a plan
  watch, pause, resume, cancel, retry, revert ID
  errors ID, results ID, proof ID, imports
  datasets                      where rows go; any table can be one
  profiles                      how sources look: keep, exchange, try on an old file
  webhooks, syncs               tell others; fetch by itself
  inspect FILE, convert FILE    offline: what a file is; as clean UTF-8 CSV

"waybill help COMMAND" says more. The instance is the one that runs here (.waybill/run.json, or where
WAYBILL_DATA points), or the one that WAYBILL_URL and WAYBILL_TOKEN name.

Exit: 0 completed, 3 completed with issues, 4 waiting for a person, 5 cancelled, 1 failed or unproven,
2 refused or no instance.
`;

export function help(command: string | null): string {
  return (command !== null && Object.hasOwn(pages, command) && pages[command]) || OVERVIEW;
}
