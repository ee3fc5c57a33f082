import type { Dataset, Missing } from '../client/index.ts';

type Field = Dataset['fields'][number];

/** What is done with records that a file does not have; '' leaves it to the profile, or leaves them alone. */
export type MissingChoice = '' | 'ignore' | 'deactivate' | 'delete';

/** The yes-or-no field that makes a record inactive: the one called `active`, or the only one there is. */
export function inactiveField({ fields, key }: Pick<Dataset, 'fields' | 'key'>): Field | undefined {
  const flags = fields.filter(({ name, type }) => type === 'boolean' && !key.includes(name));
  return flags.find(({ name }) => name === 'active') ?? (flags.length === 1 ? flags[0] : undefined);
}

/** The option of an import: of the records that its profile wrote last, never more than that. */
export function missingOption(
  choice: MissingChoice,
  dataset: Pick<Dataset, 'fields' | 'key'>,
): Missing | undefined {
  if (choice === '') return undefined;
  if (choice === 'ignore') return { action: 'ignore' };
  const field = inactiveField(dataset);
  if (choice === 'deactivate' && !field) return undefined;
  return {
    action: choice,
    scope: 'written_by_profile',
    ...(choice === 'deactivate' && field && { inactive: { field: field.name, value: false } }),
  };
}
