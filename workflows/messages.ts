import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Mapping } from '../intake/types.ts';

/** Task queues; every process that serves one names it from here. */
export const queues = {
  workflow: 'waybill',
  load: 'waybill-load',
  control: 'waybill-control',
  delivery: 'waybill-delivery',
} as const;

/** Type name of the workflow; its id is the import's id. */
export const IMPORT_FILE = 'importFile';

/** Type name of the workflow that undoes an import, and its id. */
export const REVERT_IMPORT = 'revertImport';
export const revertRunOf = (importId: string): string => `${importId}-revert`;

export interface ImportFileInput {
  importId: string;
  tenantId: string;
}

export interface Progress {
  status: string;
  phase: string | null;
  /** Why nothing moves: an outage, a turn, a person. */
  waitingFor: { what: string; since: string; nextTryAt?: string; message?: string } | null;
}

/** What comes with pause, resume and cancel. */
export interface Asked {
  actor?: string;
  reason?: string;
  /**
   * Set where the database has been told already: the epoch that it came to by it. The signal then only says "look",
   * and to a run that has claimed the import since it says nothing: told again, and late, it could stop what was
   * begun after it.
   */
  epoch?: number;
}
export const pauseSignal = defineSignal<[Asked?]>('pause');
export const resumeSignal = defineSignal<[Asked?]>('resume');
export const cancelSignal = defineSignal<[Asked?]>('cancel');
/** Comes with every start: a run that is just ending goes on with the import instead of missing it. */
export const startedSignal = defineSignal('started');
/** Sent by whoever gave a turn back to the next in line. */
export const turnSignal = defineSignal('turn');

export const progressQuery = defineQuery<Progress>('progress');

/** A person's answer to the mapping's questions. */
export interface MappingConfirmed {
  mapping: Mapping;
  actor: string;
  /** Name of the profile to keep it as. */
  saveAs?: string;
  /** The file is to be read anew in this way first; the mapping is of that reading. */
  options?: Partial<
    Record<'sheet' | 'encoding' | 'delimiter' | 'quote' | 'header_row' | 'keep_footer' | 'types', unknown>
  >;
}
export const confirmMappingUpdate = defineUpdate<void, [MappingConfirmed]>('confirmMapping');
export const approveUpdate = defineUpdate<
  void,
  [{ plan: { version: number; digest: string }; actor: string }]
>('approve');
export const discardUpdate = defineUpdate<void, [{ actor: string }]>('discard');
