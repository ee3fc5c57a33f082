import * as z from 'zod';
import { importParams, route } from './common.ts';
import { Import } from './imports.ts';
import { SettledMapping } from './mapping.ts';

const reason = z.string().min(1).max(500).optional();
const action = <const Id extends string, const P extends string, const R extends 'operator' | 'approver'>(
  id: Id,
  name: P,
  role: R,
  summary: string,
) =>
  route({
    id,
    method: 'post',
    path: `/api/imports/{id}/${name}`,
    tag: 'actions',
    summary,
    role,
    params: importParams,
    body: z.strictObject({ reason }),
    answer: { status: 200, description: 'The import as it is now.', schema: Import },
    problems: [404, 409, 503],
  });

export const pauseImport = action(
  'pauseImport',
  'pause',
  'operator',
  'Pause: takes effect between two transactions',
);
export const resumeImport = action('resumeImport', 'resume', 'operator', 'Go on from the receipts');
export const cancelImport = action(
  'cancelImport',
  'cancel',
  'operator',
  'End the run; what is written stays',
);
export const retryImport = action(
  'retryImport',
  'retry',
  'operator',
  'Run again, without a new upload, from the receipts',
);
export const discardImport = action(
  'discardImport',
  'discard',
  'approver',
  'Refuse the plan; nothing of it is written',
);

export const approveImport = route({
  id: 'approveImport',
  method: 'post',
  path: '/api/imports/{id}/approve',
  tag: 'actions',
  summary: 'Approve exactly this plan; refused if it has moved',
  role: 'approver',
  params: importParams,
  body: z.strictObject({
    plan: z.strictObject({ version: z.int().positive(), digest: z.string().min(1).max(200) }),
  }),
  answer: { status: 200, description: 'The import as it is now.', schema: Import },
  problems: [404, 409, 503],
});

export const confirmMapping = route({
  id: 'confirmMapping',
  method: 'post',
  path: '/api/imports/{id}/confirm-mapping',
  tag: 'actions',
  summary: 'Settle which column goes to which field; remembered for this header',
  role: 'operator',
  params: importParams,
  body: SettledMapping,
  answer: { status: 200, description: 'The import as it is now.', schema: Import },
  problems: [404, 409, 422, 503],
});

export const actionRoutes = [
  pauseImport,
  resumeImport,
  cancelImport,
  retryImport,
  approveImport,
  discardImport,
  confirmMapping,
];
