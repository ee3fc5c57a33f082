import { defineSearchAttributeKey } from '@temporalio/common';
import { shownFileName } from '../intake/file-name.ts';

export interface DescribedImport {
  tenantId: string;
  dataset: string;
  fileName: string;
  policy: string;
}

const keyword = (name: string) => defineSearchAttributeKey(name, 'KEYWORD');

/** What it shows of the undoing of an import. */
export const revertAttributes = (run: DescribedImport) => {
  const { typedSearchAttributes } = importAttributes(run);
  return {
    staticSummary: `undo ${shownFileName(run.fileName)} -> ${run.dataset}`.slice(0, 200),
    staticDetails: `Undoes the import of **${shownFileName(run.fileName)}** into **${run.dataset}** for tenant **${run.tenantId}**. The current details below tell how it stands; pause, resume and cancel are signals.`,
    typedSearchAttributes: typedSearchAttributes.map((attribute) =>
      attribute.key.name === 'WaybillState' ? { ...attribute, value: 'reverting' } : attribute,
    ),
  };
};

/** What the Temporal Web UI shows of an import without opening anything, whoever starts it. */
export const importAttributes = (run: DescribedImport) => ({
  staticSummary: `${shownFileName(run.fileName)} -> ${run.dataset}`.slice(0, 200),
  staticDetails: `Import of **${shownFileName(run.fileName)}** into **${run.dataset}** for tenant **${run.tenantId}**, policy **${run.policy}**. The current details below tell how it stands; pause, resume and cancel are signals.`,
  typedSearchAttributes: [
    { key: keyword('WaybillDataset'), value: run.dataset },
    { key: keyword('WaybillTenant'), value: run.tenantId },
    { key: keyword('WaybillState'), value: 'queued' },
    { key: keyword('WaybillFile'), value: shownFileName(run.fileName).slice(0, 255) },
    { key: keyword('WaybillPolicy'), value: run.policy },
  ],
});
