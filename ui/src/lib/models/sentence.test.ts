import { describe, expect, it } from 'vitest';
import type { Accounting, Import, ImportProgress, Preview } from '../client/index.ts';
import { en } from '../messages/en.ts';
import { ja } from '../messages/ja.ts';
import { headline } from './sentence.ts';

const now = Date.parse('2026-11-22T14:05:00+09:00');
const at = (t: typeof en) => ({ t, locale: t === en ? 'en' : 'ja', now });
const accounting: Accounting = {
  input: 10_000,
  created: 9_182,
  updated: 412,
  unchanged: 306,
  duplicates: 0,
  blocked: 100,
  stale: 0,
  skipped: 0,
  failed: 0,
  notProcessed: 0,
};
const run = (more: Partial<Import>): Import => ({
  id: 'r',
  dataset: 'products',
  fileName: 'a.csv',
  status: 'running',
  phase: 'apply',
  waitingFor: null,
  accounting: null,
  bytes: 1,
  policy: 'auto',
  mode: 'upsert',
  allOr: null,
  createdBy: 'Aiko',
  createdAt: '',
  startedAt: null,
  finishedAt: null,
  updatedAt: '2026-11-22T14:02:00+09:00',
  error: null,
  profile: null,
  sha256: null,
  contentSha256: null,
  phases: [],
  plan: null,
  planCounts: null,
  guard: null,
  issues: { errors: 0, warnings: 0 },
  errorReportUrl: null,
  proofUrl: null,
  workflowUrl: null,
  actions: [],
  ...more,
});
const progress = (more: Partial<ImportProgress>): ImportProgress => ({
  job_id: 'r',
  status: 'running',
  phase: 'writing',
  step: 'apply',
  activity: null,
  rows_prepared: 0,
  revert: null,
  rows_total: 1_000_000,
  rows_parsed: 1_000_000,
  rows_valid: 0,
  rows_written: 0,
  rows_failed: 0,
  duplicates_skipped: 0,
  bytes_total: null,
  bytes_read: 0,
  throughput_rps: 61_200,
  eta_seconds: 9.4,
  fraction: null,
  accounting: null,
  waiting_for: null,
  error: null,
  started_at: null,
  updated_at: '',
  finished_at: null,
  summary_url: '',
  ...more,
});

describe('headline', () => {
  it('tells a moving run in rows, speed and what is left', () => {
    const counts = {
      ...accounting,
      input: 1_000_000,
      created: 412_000,
      updated: 0,
      unchanged: 0,
      blocked: 0,
      notProcessed: 588_000,
    };
    expect(headline(run({}), progress({ accounting: counts }), at(en))).toEqual({
      text: 'Writing rows',
      detail: '412,000 of 1,000,000 rows · 61,200 rows/s · about 10 s left',
    });
    expect(headline(run({}), progress({ accounting: counts }), at(ja)).detail).toBe(
      '1,000,000 行中 412,000 行 · 毎秒 61,200 行 · 残り約 10 秒',
    );
  });

  it('counts no rows while the plan is made', () => {
    const staged = progress({ step: 'validate', activity: 'planning', eta_seconds: 4 });
    expect(headline(run({ phase: 'validate' }), staged, at(en))).toEqual({
      text: 'Comparing with what is there',
      detail: 'about 4 s left',
    });
  });

  it('says what an outage waits for and when it tries again', () => {
    const waiting_for = {
      what: 'database',
      since: new Date(now - 180_000).toISOString(),
      nextTryAt: new Date(now + 40_000).toISOString(),
    };
    const said = headline(run({ waitingFor: waiting_for }), progress({ waiting_for }), at(en));
    expect(said.text).toMatch(/^Waiting for the database, since \d\d:\d\d$/);
    expect(said.detail).toBe('trying again in 40 s');
  });

  it('names who paused it and says that nothing is held', () => {
    const waitingFor = { what: 'resume', since: new Date(now - 180_000).toISOString(), by: 'Aiko' };
    expect(headline(run({ status: 'paused', waitingFor }), null, at(en)).text).toBe(
      'Paused by Aiko 3 min ago; nothing is held, resume whenever you like',
    );
  });

  it('says what it needs from a person', () => {
    const mapping = {
      fields: [],
      unmappedColumns: [],
      questions: [{ field: 'price', code: 'unmapped' as const, message: '' }],
    };
    const preview = { mapping } as unknown as Preview;
    const waits = run({ status: 'waiting', phase: 'map', waitingFor: { what: 'mapping' } });
    expect(headline(waits, null, at(en), { preview }).text).toBe('Needs you: price is not mapped');
    const review = run({
      status: 'waiting',
      phase: 'review',
      planCounts: { creates: 9182, updates: 412, unchanged: 306, blocked: 100 },
    });
    expect(headline(review, null, at(en)).detail).toBe(
      'Would leave 9,182 created, 412 updated, 306 unchanged, 100 blocked',
    );
  });

  it('tells a finished run by what changed first, then how long it took', () => {
    const ended = { startedAt: '2026-11-22T05:00:00Z', finishedAt: '2026-11-22T05:00:12Z', phase: null };
    expect(headline(run({ ...ended, status: 'completed_with_issues', accounting }), null, at(en))).toEqual({
      text: '9,182 created, 412 updated, 306 unchanged, 100 blocked',
      detail: 'Took 12 s',
    });
    const same = { ...accounting, created: 0, updated: 0, blocked: 0, unchanged: 10_000 };
    expect(headline(run({ ...ended, status: 'completed', accounting: same }), null, at(en)).text).toBe(
      'Nothing changed: 10,000 rows are as they were',
    );
    expect(
      headline(
        run({ ...ended, status: 'completed', accounting: { ...same, input: 1, unchanged: 1 } }),
        null,
        at(ja),
      ).text,
    ).toContain('1 行');
  });

  it('gives the reason of a failure its own words', () => {
    const error = { code: 'bad_hash', message: 'The file arrived damaged. Upload it again.' };
    expect(headline(run({ status: 'failed', error, phase: null }), null, at(en)).text).toBe(error.message);
  });
});
