import { writeFileSync } from 'node:fs';
import * as z from 'zod';
import { ProfileDocument } from './profile.ts';

/** The published schema of a profile (JSON Schema 2020-12), as docs/profile.schema.json holds it. */
export function profileSchema(): object {
  return z.toJSONSchema(ProfileDocument, { target: 'draft-2020-12', io: 'input' });
}

if (import.meta.main)
  writeFileSync(
    new URL('../docs/profile.schema.json', import.meta.url),
    `${JSON.stringify(profileSchema(), null, 2)}\n`,
  );
