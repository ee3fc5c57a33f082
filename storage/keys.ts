/** Where an import's objects lie. Keys are made of ids alone: no name that a user chose ever enters one. */
export function objectKeys(tenantId: string, importId: string) {
  const folder = `${tenantId}/${importId}`;
  return {
    folder: `${folder}/`,
    source: `${folder}/source`,
    manifest: `${folder}/manifest.json`,
    errors: `${folder}/errors.csv`,
    proof: `${folder}/proof.json`,
  };
}
