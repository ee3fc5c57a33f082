const DAY = 24 * 60 * 60;

const days = (env: NodeJS.ProcessEnv, name: string, fallback: number): number => {
  const value = Number(env[name] ?? fallback);
  if (!(value >= 0)) throw new Error(`${name} must be a number of days, not ${env[name]}.`);
  return value;
};

/** How long what an import leaves is kept, in seconds from its end. */
export interface Retention {
  /** What it replaced, and the values that it wrote. */
  imagesSeconds: number;
  /** In which it can be undone: never longer than the images are there. */
  revertSeconds: number;
  /** The narrow ledger: which record came to what, and where it stands in the file. */
  ledgerSeconds: number;
}

/** From WAYBILL_REVERT_DAYS (7), WAYBILL_IMAGES_DAYS (as long as that) and WAYBILL_LEDGER_DAYS (400). */
export function retentionFrom(env: NodeJS.ProcessEnv): Retention {
  const revert = days(env, 'WAYBILL_REVERT_DAYS', 7);
  const images = days(env, 'WAYBILL_IMAGES_DAYS', revert);
  const ledger = days(env, 'WAYBILL_LEDGER_DAYS', 400);
  return {
    imagesSeconds: images * DAY,
    revertSeconds: Math.min(revert, images) * DAY,
    ledgerSeconds: Math.max(ledger, images) * DAY,
  };
}
