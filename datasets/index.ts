import { builtinDatasets } from './builtin.ts';
import type { Dataset } from './types.ts';

export { builtinDatasets };

export function findDataset(name: string): Dataset | undefined {
  return builtinDatasets.find((dataset) => dataset.name === name);
}
