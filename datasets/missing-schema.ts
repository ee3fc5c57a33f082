import * as z from 'zod';
import { SCOPE_OPERATORS } from '../intake/missing.ts';

const Field = z.string().min(1).max(63);
const Plain = z.union([z.string().max(1000), z.number(), z.boolean()]);

/** What becomes of records of the target that a full catalogue does not have; `missingFaults` says what it cannot mean. */
export const Missing = z
  .strictObject({
    action: z.enum(['ignore', 'deactivate', 'delete']),
    scope: z
      .union([
        z.literal('written_by_profile'),
        z
          .array(
            z.strictObject({
              field: Field,
              operator: z.enum(SCOPE_OPERATORS),
              value: z
                .union([Plain, z.array(Plain).max(1000)])
                .optional()
                .meta({ description: 'A list for `one_of`, none for `empty` and `not_empty`.' }),
            }),
          )
          .max(20),
      ])
      .optional()
      .meta({
        description:
          'Which records the file answers for: all conditions hold, or the last write of any import was one of this profile (or sync).',
      }),
    inactive: z
      .strictObject({ field: Field, value: Plain.nullable() })
      .optional()
      .meta({ description: 'What makes a record inactive: `{"field": "active", "value": false}`.' }),
  })
  .meta({
    id: 'Missing',
    description:
      'What becomes of records that the file, a full catalogue, does not have. Rows with a key count as present, blocked ones too; a row whose key cannot be read, or a file without rows, holds the run.',
  });

const share = z.number().min(0).max(1);

/** Beyond these a run under `guard` waits for a person; what is left out has its default. */
export const GuardLimits = z
  .strictObject({
    changed: share.optional().meta({ description: 'Share of the records that would change: 0.1.' }),
    removed: share
      .optional()
      .meta({ description: 'Share of the known records that would be deactivated or deleted: 0.' }),
    blocked: share.optional().meta({ description: 'Share of the rows that are blocked: 0.02.' }),
    median: z
      .number()
      .min(1)
      .max(1e9)
      .optional()
      .meta({ description: "How many times a number's middle value may grow or shrink: 3." }),
  })
  .meta({ id: 'GuardLimits' });
