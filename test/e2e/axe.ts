import axe from 'axe-core';
import type { Page } from 'playwright-core';

export interface Finding {
  scheme: 'light' | 'dark';
  rule: string;
  impact: string | null;
  html: string;
}

/**
 * Has axe look at the page as it stands, light and then dark. It is loaded into the page once, and the page stays what
 * it is: in the dark only the colours are others, so they alone are judged again.
 */
export async function findings(page: Page): Promise<Finding[]> {
  // Colours that are on their way from one to the other have no contrast of their own.
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.evaluate(axe.source);
  const found: Finding[] = [];
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    // Tables of one kind of row need not be judged row by row.
    const context = { exclude: ['tbody tr:nth-child(n+6)'] };
    const options = {
      resultTypes: ['violations'],
      ...(scheme === 'dark' && { runOnly: { type: 'rule', values: ['color-contrast'] } }),
    };
    const now = await page.evaluate<Omit<Finding, 'scheme'>[]>(
      `axe.run(${JSON.stringify(context)}, ${JSON.stringify(options)}).then(({ violations }) =>
        violations.map(({ id, impact, nodes }) => ({ rule: id, impact, html: nodes[0].html })))`,
    );
    found.push(...now.map((one) => ({ scheme, ...one })));
  }
  return found;
}
