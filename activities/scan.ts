import { createReadStream } from 'node:fs';
import type { ImportRow } from '../db/control.ts';
import { findQuarantined, noteQuarantine, type Quarantined } from '../db/quarantine.ts';
import { objectKeys } from '../storage/keys.ts';
import { ScanImpossible, ScannerDown, type Scanner } from '../storage/scan.ts';
import type { ActivityDeps } from './deps.ts';
import { ImportRefused } from './guarded.ts';

/**
 * Lets a file pass only if the scanner says that it is clean. A hit is moved to quarantine and ends the run; so does a
 * file that cannot be scanned. A scanner that gives no answer is waited for (`ScannerDown`), or ends the run, as the
 * deployment chose.
 * @param path the whole object, on this host.
 */
export async function passScanner(
  deps: ActivityDeps,
  scanner: Scanner,
  row: ImportRow,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const verdict = await scanner.scan(path, signal).catch((error: unknown) => {
    if (error instanceof ScanImpossible) throw new ImportRefused('scan_impossible', error.message);
    if (error instanceof ScannerDown && scanner.whenDown === 'refuse')
      throw new ImportRefused(
        'scanner_down',
        `${error.message} The file was not read. Import it again when the scanner is back.`,
      );
    throw error;
  });
  if (verdict.clean) return;
  const found: Quarantined = {
    importId: row.import_id,
    objectKey: objectKeys(row.tenant_id, row.import_id).quarantine,
    signature: verdict.signature,
    scanner: scanner.name,
  };
  deps.log.warn({ import: row.import_id, signature: found.signature }, 'file put in quarantine');
  await deps.store.write(found.objectKey, createReadStream(path), {
    contentType: 'application/octet-stream',
    signal,
  });
  await noteQuarantine(deps.pool, found, row.tenant_id);
  await deps.store.remove(row.object_key!);
  throw quarantined(found);
}

/** Says it again where an earlier attempt moved the file and did not live to tell. */
export async function refuseQuarantined(deps: ActivityDeps, row: ImportRow): Promise<void> {
  const found = await findQuarantined(deps.pool, row.import_id);
  if (!found) return;
  await deps.store.remove(row.object_key!);
  throw quarantined(found, found.removed);
}

function quarantined({ signature, objectKey }: Quarantined, removed = false): ImportRefused {
  const now = removed ? 'It was deleted' : 'It was moved to quarantine';
  return new ImportRefused(
    'quarantined',
    `The virus scanner found ${signature} in this file. ${now} and nothing of it was read. Ask its sender for a clean one.`,
    { signature, objectKey },
  );
}
