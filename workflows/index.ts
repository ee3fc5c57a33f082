/** Every workflow of the worker's bundle. */
export { importFile } from './import-file.ts';
export { revertImport } from './revert-import.ts';
export { deliverWebhook } from './deliver-webhook.ts';
export { runSync } from './run-sync.ts';
