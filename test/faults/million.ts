export async function million(_report: unknown): Promise<void> {}
