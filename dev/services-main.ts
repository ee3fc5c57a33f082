/**
 * Starts only the services, for several test runs to share: services-main.ts FOLDER [--json FILE]
 * Stays in the foreground; Ctrl-C stops them. Tests use the set when WAYBILL_TEST_SERVICES names the file.
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { lockDataFolder, unlockDataFolder } from './lock.ts';
import { startServices, type Services } from './services.ts';

const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'string' } } });
const dataDir = resolve(positionals[0] ?? '.waybill');
const json = resolve(values.json ?? join(dataDir, 'services.json'));

function write(services: Services): void {
  writeFileSync(`${json}.new`, JSON.stringify({ ...services, supervisor: process.pid }, null, 2), {
    mode: 0o600,
  });
  renameSync(`${json}.new`, json);
}

const holder = lockDataFolder(dataDir);
if (holder) {
  console.error(`${dataDir} is in use by process ${holder.pid} (${holder.command}).`);
  process.exit(2);
}
rmSync(json, { force: true });
let services: Services | null = null;
services = await startServices({
  dataDir,
  usualPorts: false,
  log: (line) => console.log(line),
  onRestart: () => services && write(services),
});
write(services);
console.log(`Ready: ${json}`);

let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    rmSync(json, { force: true });
    void services!.stop().then(() => {
      unlockDataFolder(dataDir);
      process.exit(0);
    });
  });
}
