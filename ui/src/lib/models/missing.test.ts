import { describe, expect, it } from 'vitest';
import type { Dataset } from '../client/index.ts';
import { inactiveField, missingOption, type MissingChoice } from './missing.ts';

const dataset = (key: string[], ...flags: string[]) =>
  ({
    key,
    fields: ['sku', ...flags].map((name) => ({ name, type: name === 'sku' ? 'text' : 'boolean' })),
  }) as Pick<Dataset, 'fields' | 'key'>;

describe('the field that makes a record inactive', () => {
  it.each([
    ['the one called active', dataset(['sku'], 'fragile', 'active'), 'active'],
    ['the only one', dataset(['sku'], 'listed'), 'listed'],
    ['none of two', dataset(['sku'], 'fragile', 'listed'), undefined],
    ['none of the key', dataset(['sku', 'active'], 'active'), undefined],
    ['none', dataset(['sku']), undefined],
  ])('%s', (_, given, name) => expect(inactiveField(given)?.name).toBe(name));
});

describe('what is asked of an import', () => {
  it.each<[MissingChoice, unknown]>([
    ['', undefined],
    ['ignore', { action: 'ignore' }],
    ['delete', { action: 'delete', scope: 'written_by_profile' }],
    [
      'deactivate',
      { action: 'deactivate', scope: 'written_by_profile', inactive: { field: 'active', value: false } },
    ],
  ])('%s', (choice, option) =>
    expect(missingOption(choice, dataset(['sku'], 'active'))).toStrictEqual(option),
  );

  it('never a deactivation that nothing says how to do', () =>
    expect(missingOption('deactivate', dataset(['sku']))).toBeUndefined());
});
