/** Where an import keeps the records that its file does not have, as they were when the plan was made. */
export const missingTable = (lockKey: number): string => `stage.missing_${lockKey}`;
