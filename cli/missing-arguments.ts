import { usage } from './arguments.ts';

/** The options of `complete` that are about missing records, as the API names them. */
export interface MissingOptions {
  action: string;
  scope?: 'written_by_profile' | { field: string; operator: string; value?: string }[];
  inactive?: { field: string; value: string };
}

const OPERATORS: Record<string, string> = {
  '=': 'is',
  '!=': 'is_not',
  '^=': 'starts_with',
  '<': 'less',
  '<=': 'at_most',
  '>': 'greater',
  '>=': 'at_least',
};
const LIMITS = ['changed', 'removed', 'blocked', 'median'];

function condition(command: string, text: string): { field: string; operator: string; value?: string } {
  const found = /^(\w+)\s*(!=|\^=|<=|>=|=|<|>)(.*)$/su.exec(text);
  if (!found)
    throw usage(
      command,
      `--scope must be "written-by-profile" or a condition such as supplier=ACME (also != ^= < <= > >=); "${text}" is neither.`,
    );
  const [, field, sign, value] = found as unknown as [string, string, string, string];
  if (value === '' && sign === '=') return { field, operator: 'empty' };
  if (value === '' && sign === '!=') return { field, operator: 'not_empty' };
  return { field, operator: OPERATORS[sign]!, value };
}

/** What `--missing`, `--scope` and `--inactive` say; undefined where none of them is given. */
export function missingOptions(
  command: string,
  given: { missing?: string; scope?: string[]; inactive?: string },
): MissingOptions | undefined {
  const { missing, scope = [], inactive } = given;
  if (missing === undefined) {
    if (scope.length > 0 || inactive !== undefined)
      throw usage(command, '--scope and --inactive belong to --missing deactivate or delete.');
    return undefined;
  }
  if (!['ignore', 'deactivate', 'delete'].includes(missing))
    throw usage(command, `--missing must be ignore, deactivate or delete; "${missing}" is none of them.`);
  const pair = inactive === undefined ? null : /^(\w+)=(.*)$/su.exec(inactive);
  if (inactive !== undefined && !pair)
    throw usage(command, `--inactive must be FIELD=VALUE; "${inactive}" is not.`);
  return {
    action: missing,
    ...(scope.length > 0 && {
      scope:
        scope.length === 1 && scope[0] === 'written-by-profile'
          ? ('written_by_profile' as const)
          : scope.map((one) => condition(command, one)),
    }),
    ...(pair && { inactive: { field: pair[1]!, value: pair[2]! } }),
  };
}

/** `removed=0.05` and its like: the limits of the guard. */
export function guardLimits(command: string, given: string[]): Record<string, number> {
  return Object.fromEntries(
    given.map((text) => {
      const [name = '', value = ''] = text.split('=');
      const number = Number(value);
      if (!LIMITS.includes(name) || value === '' || !Number.isFinite(number))
        throw usage(
          command,
          `--limit must be one of ${LIMITS.join(', ')} and a number, such as removed=0.05.`,
        );
      return [name, number];
    }),
  );
}
