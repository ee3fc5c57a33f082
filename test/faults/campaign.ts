import { inScenario, LOAD, type Bench, type Case, type Outcome, type Scenario } from './case.ts';
import { seedMissing } from './files.ts';

/** Stock movements: doing a row twice would show at once. */
const ADD: Scenario = { name: 'add', status: 'completed_with_issues', submit: { mode: 'add' } };

/** Only what is there already is changed. */
const UPDATE: Scenario = { name: 'update', status: 'completed_with_issues', submit: { mode: 'update' } };

/** What an import wrote is taken back, and disturbed in that. */
const REVERT: Scenario = {
  name: 'revert',
  status: 'reverted',
  async begin({ instance }, id) {
    const answer = await instance.api('POST', `/imports/${id}/revert`, {});
    if (answer.status >= 300)
      throw new Error(`revert was answered with ${answer.status} ${JSON.stringify(answer.body)}`);
  },
};

/**
 * The file is a full catalogue: what it does not have is deleted. Some of its rows have no key that can be read, so
 * somebody has to approve it first.
 */
const MISSING: Scenario = {
  name: 'missing',
  status: 'completed_with_issues',
  submit: { missing: { action: 'delete', scope: [{ field: 'sku', operator: 'not_empty' }] } },
  seed: seedMissing,
  async settle({ instance }, id) {
    const waiting = await instance.ended(id, ['waiting']);
    const answer = await instance.api('POST', `/imports/${id}/approve`, { plan: waiting.plan });
    if (answer.status >= 300)
      throw new Error(`approve was answered with ${answer.status} ${JSON.stringify(answer.body)}`);
  },
};

/** All of it or nothing: written, whatever is killed meanwhile, by one transaction that others see when it is committed. */
const ATOMIC: Scenario = {
  name: 'atomic',
  status: 'completed',
  submit: { atomic: true },
  clean: true,
  lanes: 1,
  kinds: / killed$/,
  async judge(instance, id) {
    const [row] = await instance.sql<{ writes: number; receipts: number }>(
      `select (select count(distinct txid)::int from public.write_log) as writes,
         (select count(distinct xmin::text)::int from waybill.receipts where import_id = $1) as receipts`,
      [id],
    );
    const { writes, receipts } = row!;
    return writes === 1 && receipts === 1
      ? []
      : [`${writes} transactions wrote to the target and ${receipts} wrote receipts, not one`];
  },
};

const SCENARIOS = {
  import: [LOAD, ADD, UPDATE, MISSING, ATOMIC],
  any: [LOAD, ADD, REVERT, MISSING, UPDATE, ATOMIC],
};

const scenariosOf = (one: Case, kind: string): Scenario[] =>
  one.scenarios ? SCENARIOS[one.scenarios].filter(({ kinds }) => !kinds || kinds.test(kind)) : [];

/** What all faults of one kind came to. */
interface Tally {
  faults: number;
  runs: number;
  rows: number;
  lost: number;
  doubled: number;
  falseStatuses: number;
  failed: number;
}

/** What stands still when the campaign asks for the next instance. */
export interface Stands {
  /** One that reaches its services through lines of ours, or directly. */
  ready(proxied: boolean): Promise<Bench>;
  dropBroken(proxied: boolean): Promise<void>;
}

export interface Goal {
  faults: number;
  ofEachKind: number;
}

/**
 * Strikes until each kind has struck often enough and all have together. A fault counts only where something was in
 * flight at that instant.
 */
export async function campaign(
  cases: Case[],
  goal: Goal,
  stands: Stands,
  report: (name: string, outcome: Outcome | Error, took: string) => void,
  until = Infinity,
  only = '',
): Promise<Map<string, Tally>> {
  const tallies = new Map<string, Tally>();
  const kinds = Map.groupBy(cases, (one) => one.kind ?? one.name);
  for (const kind of kinds.keys())
    tallies.set(kind, { faults: 0, runs: 0, rows: 0, lost: 0, doubled: 0, falseStatuses: 0, failed: 0 });
  const all = (): number => [...tallies.values()].reduce((sum, tally) => sum + tally.faults, 0);
  const scenarios = new Map<Bench, Map<string, Bench>>();

  const lane = async (proxied: boolean): Promise<void> => {
    // By turns, so that a stop in the middle has tried each kind about as often.
    const turns = [...kinds].flatMap(([kind, list]) => {
      const own = list.filter((one) => (one.proxied ?? false) === proxied);
      return own.length === 0 ? [] : [{ kind, own, next: 0, tries: 0 }];
    });
    const wanting = (): typeof turns => {
      const few = turns.filter(
        ({ kind, tries }) => tallies.get(kind)!.faults < goal.ofEachKind && tries < 4 * goal.ofEachKind,
      );
      return few.length > 0 || all() >= goal.faults ? few : turns.filter(({ own }) => own.some(often));
    };
    for (let now = wanting(); now.length > 0; now = wanting()) {
      for (const turn of now) {
        if (Date.now() > until) return;
        const one = turn.own[turn.next++ % turn.own.length]!;
        turn.tries++;
        const fitting = scenariosOf(one, turn.kind);
        const named = fitting.filter(({ name }) => name === only);
        const scenario = fitting.length > 0 ? by(named.length > 0 ? named : fitting, turn.tries) : LOAD;
        const since = Date.now();
        let outcome: Outcome | Error;
        try {
          const bench = await stands.ready(proxied);
          const known = scenarios.get(bench) ?? new Map([[LOAD.name, bench]]);
          scenarios.set(bench, known);
          if (!known.has(scenario.name)) known.set(scenario.name, await inScenario(bench, scenario));
          outcome = await one.run(known.get(scenario.name)!);
        } catch (error) {
          outcome = error instanceof Error ? error : new Error(String(error));
        }
        count(tallies.get(turn.kind)!, outcome);
        const name = scenario === LOAD ? one.name : `${one.name} (${scenario.name})`;
        report(name, outcome, `${((Date.now() - since) / 1000).toFixed(1)} s`);
        if (outcome instanceof Error || outcome.verdict.problems.length > 0) await stands.dropBroken(proxied);
      }
    }
  };
  await Promise.all([lane(false), lane(true)]);
  return tallies;
}

/** Those that strike several times a run bring the total up soonest. */
const often = (one: Case): boolean => one.scenarios !== undefined;

const by = <T>(list: readonly T[], n: number): T => list[n % list.length]!;

function count(tally: Tally, outcome: Outcome | Error): void {
  tally.runs++;
  if (outcome instanceof Error) {
    tally.failed++;
    return;
  }
  const { verdict, inFlight } = outcome;
  tally.faults += outcome.faults ?? (inFlight === 'nothing' ? 0 : 1);
  tally.rows += verdict.rows ?? 0;
  tally.lost += verdict.lost;
  tally.doubled += verdict.doubled;
  tally.falseStatuses += verdict.problems.filter((problem) =>
    /ended as|shown as|accounting|in phase/.test(problem),
  ).length;
  if (verdict.problems.length > 0) tally.failed++;
}

/** The table by kind. */
export function table(tallies: Map<string, Tally>): string {
  const columns = ['faults', 'runs', 'rows', 'lost', 'doubled', 'falseStatuses', 'failed'] as const;
  const titles = ['kind', 'faults', 'runs', 'rows checked', 'lost', 'doubled', 'false statuses', 'failed'];
  const cells = [...tallies].map(([kind, tally]) => [
    kind,
    ...columns.map((name) => tally[name].toLocaleString('en')),
  ]);
  const sum = columns.map((name) =>
    [...tallies.values()].reduce((total, tally) => total + tally[name], 0).toLocaleString('en'),
  );
  const lines = [titles, ...cells, [`${tallies.size} kinds`, ...sum]];
  const widths = titles.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines
    .map((line) =>
      line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
    )
    .join('\n');
}
