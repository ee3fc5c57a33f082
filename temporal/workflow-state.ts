import { type Client, WorkflowNotFoundError } from '@temporalio/client';

/** How Temporal says that a workflow stands; NOT_FOUND where it does not know it (any more). */
export async function workflowState(
  client: Client,
  workflowId: string,
): Promise<{ state: string; closedAt: Date | null }> {
  try {
    const found = await client.workflow.getHandle(workflowId).describe();
    return { state: found.status.name, closedAt: found.closeTime ?? null };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { state: 'NOT_FOUND', closedAt: null };
    throw error;
  }
}

export const isAlive = (state: string): boolean => ['RUNNING', 'CONTINUED_AS_NEW', 'PAUSED'].includes(state);
