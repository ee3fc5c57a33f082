import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { inject } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../dev/temporal-server.ts';

const KEYWORD = 2;

export interface TestNamespace {
  namespace: string;
  client: Client;
  /** For workers. */
  connection: NativeConnection;
  close(): Promise<void>;
}

/** A namespace of one's own: the task queues have fixed names, and nobody else's worker may take from them. */
export async function createTestNamespace(): Promise<TestNamespace> {
  const { temporalAddress: address } = inject('services');
  const namespace = `test-${randomBytes(6).toString('hex')}`;
  const connection = await Connection.connect({ address });
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  const client = new Client({ connection, namespace });
  // The server's own cache of namespaces has to see the new one.
  for (let attempt = 0; ; attempt++) {
    try {
      await connection.operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(SEARCH_ATTRIBUTES.map((name) => [name, KEYWORD])),
      });
      await connection.workflowService.listOpenWorkflowExecutions({ namespace });
      break;
    } catch (error) {
      if (attempt === 50) throw error;
      await sleep(200);
    }
  }
  const native = await NativeConnection.connect({ address });
  return {
    namespace,
    client,
    connection: native,
    async close() {
      await native.close();
      await connection.close();
    },
  };
}
