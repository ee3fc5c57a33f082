import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** PostgreSQL refuses to run as root, so there it runs as somebody else, who cannot reach every folder. */
export interface Account {
  name: string;
  uid: number;
  gid: number;
}

/** For what the account could not reach where it is: under root's home, or in a private temporary folder. */
const SHARED_PLACE = '/var/lib/waybill';

function accounts(): Account[] {
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 4)
    .map(([name, , uid, gid]) => ({ name: name!, uid: Number(uid), gid: Number(gid) }));
}

/**
 * The account to run PostgreSQL as, or null where we are not root and it runs as ourselves. Who owns an
 * existing data folder stays its owner.
 */
export function unprivilegedAccount(pgData: string): Account | null {
  if (process.getuid?.() !== 0) return null;
  const named = (name: string): Account | undefined => accounts().find((account) => account.name === name);
  if (existsSync(pgData)) {
    const { uid } = statSync(pgData);
    const owner = accounts().find((account) => account.uid === uid);
    if (owner && uid !== 0) return owner;
  }
  const present = named('waybill') ?? named('postgres');
  if (present) return present;
  // Debian and most others have the first, Alpine and busybox the second.
  for (const [command, ...args] of [
    ['useradd', '--system', '--no-create-home', '--shell', '/usr/sbin/nologin', 'waybill'],
    ['adduser', '-S', '-D', '-H', '-s', '/sbin/nologin', 'waybill'],
  ]) {
    if (spawnSync(command!, args).status === 0) break;
  }
  const account = named('waybill') ?? named('nobody');
  if (!account) {
    throw new Error(
      'PostgreSQL does not run as root and no unprivileged account could be made. ' +
        'Create one ("useradd --system waybill") or start Waybill as another user.',
    );
  }
  return account;
}

function canEnter(account: Account, folder: string): boolean {
  const { uid, gid } = account;
  return spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { uid, gid, cwd: '/' }).status === 0;
}

/** The folder with PostgreSQL's binaries as the account can reach it: as installed, or a copy. */
export function reachableBinaries(account: Account | null, installed: string, version: string): string {
  if (!account || canEnter(account, installed)) return installed;
  const copy = join(SHARED_PLACE, `postgresql-${version}`);
  if (existsSync(copy)) return copy;
  mkdirSync(SHARED_PLACE, { recursive: true, mode: 0o755 });
  const unfinished = `${copy}.${process.pid}`;
  cpSync(installed, unfinished, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(unfinished, copy);
  } catch (error) {
    // Another start was faster.
    if (!existsSync(copy)) throw error;
    rmSync(unfinished, { recursive: true });
  }
  return copy;
}

/** Where PostgreSQL's data lies: in the data folder unless the account cannot get there. */
export function reachableData(account: Account | null, wanted: string): string {
  if (!account || existsSync(wanted) || canEnter(account, dirname(wanted))) return wanted;
  const place = createHash('sha256').update(wanted).digest('hex').slice(0, 16);
  return join(SHARED_PLACE, place, 'postgres');
}
