export { builtinDatasets } from './builtin.ts';
