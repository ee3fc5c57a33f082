/** Where an import's objects lie. Keys are made of ids alone: no name that a user chose ever enters one. */
export function objectKeys(tenantId: string, importId: string) {
  const folder = `${tenantId}/${importId}`;
  return {
    folder: `${folder}/`,
    source: `${folder}/source`,
    /** Where the source goes if a virus is found in it. */
    quarantine: `quarantine/${folder}/source`,
    /** Of the first inspection, and of each later one with other file options. */
    manifest: (inspection = 1) => `${folder}/manifest${inspection === 1 ? '' : `-${inspection}`}.json`,
    errors: `${folder}/errors.csv`,
    proof: `${folder}/proof.json`,
  };
}
