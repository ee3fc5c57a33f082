import * as z from 'zod';
import { ImportId, importParams, Message, pageOf, pageQuery, route, Time } from './common.ts';

const count = z.int().nonnegative();
const Choice = z.enum(['skip', 'force']);

const OnConflict = z
  .strictObject({
    changed: Choice.default('skip').meta({
      description: 'Records that are not as the import left them. By force, what was changed since is lost.',
    }),
    seenLater: Choice.default('skip').meta({
      description: 'Records whose key a later import had a row for, also one that found them equal.',
    }),
    referenced: z.literal('skip').default('skip').meta({
      description: 'Records that others refer to are never removed.',
    }),
  })
  .meta({ id: 'RevertOnConflict' });

const RevertCounts = z
  .object({
    records: count.meta({ description: 'Created or updated by the import and not undone yet.' }),
    remove: count.meta({ description: 'Created records to be removed.' }),
    restore: count.meta({ description: 'Updated records to be given back their values.' }),
    gone: count.meta({ description: 'Created records that are no longer there.' }),
    skip: count.meta({ description: 'Records in conflict that are left as they are.' }),
    conflicts: z.object({ changed: count, seenLater: count, referenced: count }),
  })
  .meta({ id: 'RevertCounts' });

const Values = z.record(z.string(), z.string().nullable());
const RevertConflict = z
  .object({
    record: z.int().meta({
      description:
        'Row of the import that created or updated the record; below zero where its file did not have it.',
    }),
    line: count.nullable(),
    key: z.string(),
    change: z.enum(['created', 'updated', 'deactivated', 'deleted']),
    kinds: z
      .array(z.enum(['changed', 'seenLater', 'referenced']))
      .meta({ description: 'Empty where it was met only while the record was written.' }),
    decision: z.enum(['remove', 'restore', 'reactivate', 'reinsert', 'skip', 'gone']),
    outcome: z
      .enum(['gone', 'skipped', 'failed'])
      .nullable()
      .meta({ description: 'What came of it, where that is not what was decided.' }),
    message: z.string().nullable(),
    before: Values.nullable().meta({
      description: 'By column, before the import; null where it created it.',
    }),
    left: Values.meta({ description: 'As the import left it.' }),
    now: Values.nullable().meta({ description: 'As it was found; null where it is gone.' }),
    seenBy: z
      .object({ importId: ImportId, fileName: z.string(), createdBy: z.string() })
      .nullable()
      .meta({ description: 'The last later import that had a row for this key.' }),
    referencedBy: z.string().nullable().meta({ description: 'Table and constraint.' }),
  })
  .meta({ id: 'RevertConflict' });

const RevertRun = z
  .object({
    revert: z.int().positive(),
    state: z.enum(['running', 'paused', 'done', 'cancelled', 'failed', 'unproven']),
    onConflict: OnConflict,
    requestedBy: z.string(),
    requestedAt: Time,
    reason: z.string().nullable(),
    plannedAt: Time.nullable(),
    finishedAt: Time.nullable(),
    counts: RevertCounts.nullable().meta({ description: 'Null until it is planned, in its turn.' }),
    done: count.meta({ description: 'Records of batches with a receipt.' }),
    result: z.object({ removed: count, restored: count, gone: count, skipped: count, failed: count }),
    error: Message.nullable(),
    workflowUrl: z.string().nullable(),
  })
  .meta({ id: 'RevertRun' });

const Revert = z
  .object({
    importId: ImportId,
    possible: z.boolean(),
    why: Message.nullable().meta({ description: 'Why it is not possible now.' }),
    until: Time.nullable().meta({ description: 'End of the time in which it can be undone.' }),
    runs: z.array(RevertRun).meta({ description: 'The newest first.' }),
  })
  .meta({ id: 'Revert' });

export const showRevert = route({
  id: 'showRevert',
  method: 'get',
  path: '/api/imports/{id}/revert',
  tag: 'reverts',
  summary: 'Whether the import can be undone, and how far that is',
  role: 'viewer',
  params: importParams,
  answer: { status: 200, description: 'What was undone and what can be.', schema: Revert },
  problems: [404],
});

export const revertImport = route({
  id: 'revertImport',
  method: 'post',
  path: '/api/imports/{id}/revert',
  tag: 'reverts',
  summary: 'Undo the import, or look at what that would do',
  role: 'operator',
  params: importParams,
  body: z.strictObject({
    preview: z.boolean().default(false).meta({ description: 'Only look: nothing is written.' }),
    onConflict: OnConflict.prefault({}).meta({
      description: '`force` is for approvers and above: it overwrites what others did.',
    }),
    reason: z.string().min(1).max(500).optional(),
  }),
  answer: {
    status: 200,
    description: 'How it stands; with `preview` what would be done, and the first 100 conflicts.',
    schema: Revert.extend({
      preview: z.object({ counts: RevertCounts, conflicts: z.array(RevertConflict) }).nullable(),
    }).meta({ id: 'RevertAnswer' }),
  },
  problems: [404, 409, 503],
});

export const listRevertConflicts = route({
  id: 'listRevertConflicts',
  method: 'get',
  path: '/api/imports/{id}/revert/conflicts',
  tag: 'reverts',
  summary: 'Records that could not simply be undone: what they are now, and who stands in the way',
  role: 'viewer',
  params: importParams,
  query: z.object({
    ...pageQuery,
    revert: z.coerce.number().int().positive().optional().meta({ description: 'The newest without it.' }),
  }),
  answer: { status: 200, description: 'One page, in the order of the keys.', schema: pageOf(RevertConflict) },
  problems: [404],
});

export const revertRoutes = [showRevert, revertImport, listRevertConflicts];
