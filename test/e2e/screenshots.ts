/**
 * Every page and state of the console as a picture: `node test/e2e/screenshots.ts [folder]` starts an instance of its
 * own, makes imports in each state, and writes PNGs into docs/screenshots. To be looked at by a person afterwards.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { openBrowser } from './browser.ts';
import {
  eitherDate,
  infected,
  japanese,
  oldMill,
  products,
  twoSheets,
  unclear,
  type TestFile,
} from './files.ts';
import { startInstance } from './instance.ts';
import { addOrdersTable } from './tables.ts';

const folder = process.argv[2] ?? join(import.meta.dirname, '..', '..', 'docs', 'screenshots');
const wide = { width: 1440, height: 900 };
const narrow = { width: 390, height: 844 };

const instance = await startInstance();
const browser = await openBrowser();
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

async function shoot(page: Page, name: string): Promise<void> {
  await page.locator('h1, h2').first().waitFor();
  await page.locator('.skeleton, .loading').first().waitFor({ state: 'detached' });
  // The bar slides to where it is.
  await page.waitForTimeout(400);
  const path = join(folder, `${name}.png`);
  await page.screenshot({ path });
  // A palette is enough for flat colours and makes a quarter of the size; without pngquant the picture stays as it is.
  spawnSync('pngquant', ['--force', '--ext', '.png', '--quality', '70-95', path]);
  console.log(name);
}

try {
  const context = await browser.newContext({ viewport: wide, locale: 'en-GB', colorScheme: 'light' });
  const page = await context.newPage();
  await page.goto(`${instance.url}/sign-in`);
  await shoot(page, 'sign-in-1440-light');
  await page.goto(instance.link);
  await page.getByText('No imports yet').waitFor();
  await shoot(page, 'imports-empty-1440-light');
  const state = await context.storageState();

  async function choose(file: TestFile, dataset?: string): Promise<void> {
    await page.goto(`${instance.url}/imports/new`);
    await page.setInputFiles('input[type=file]', file);
    await page.getByText(file.name, { exact: true }).waitFor();
    if (dataset) await page.getByLabel('Goes into').selectOption(dataset);
  }
  async function start(button: string): Promise<string> {
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.waitForURL(/\/imports\/[0-9a-f-]{36}/);
    return new URL(page.url()).pathname;
  }
  const ends = (...statuses: string[]) =>
    page
      .locator(statuses.map((status) => `section [data-status=${status}]`).join(','))
      .waitFor({ timeout: 90_000 });
  const APPLY = 'Check and apply if clean';

  await choose(products('catalogue_nov.csv', 200_000, { brokenEvery: 997 }));
  const paused = await start(APPLY);
  await page.getByText('Writing rows').waitFor({ timeout: 90_000 });
  await shoot(page, 'run-applying-1440-light');
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await ends('paused');

  await choose(products('catalogue_oct.csv', 9_000, { prefix: 'OCT' }));
  await start(APPLY);
  await ends('completed');
  await choose(japanese('新商品リスト.csv'));
  await start(APPLY);
  await ends('completed');

  // The same content again: refused, with a link.
  await choose(products('catalogue_oct_copy.csv', 9_000, { prefix: 'OCT' }));
  const refused = await start(APPLY);
  await ends('failed');

  await choose(unclear('Lagerliste.csv'), 'products');
  const mapping = await start(APPLY);
  await ends('waiting');

  await choose(await twoSheets('spring.xlsx'), 'products');
  const sheets = await start(APPLY);
  await ends('waiting');
  await choose(eitherDate('prices_2026.csv'), 'price_list');
  const dates = await start(APPLY);
  await ends('waiting');
  await choose(oldMill('old_mill_nov.csv', 1), 'products');
  await start(APPLY);
  await ends('waiting');
  await page.getByLabel('Encoding', { exact: true }).selectOption('windows-1250');
  await page.getByLabel('Column in the file: SKU').selectOption({ label: 'Dings' });
  await page.getByLabel('Field for Was es ist').selectOption({ label: 'Name' });
  await page.getByLabel('Field for Da').selectOption({ label: 'Active' });
  await page.getByLabel('Meaning of “da”').selectOption({ label: 'yes' });
  await shoot(page, 'mapping-settling-1440-light');
  await page.getByLabel('Meaning of “weg”').selectOption({ label: 'no' });
  await page.getByRole('checkbox', { name: 'Keep as a profile' }).check();
  await page.getByRole('textbox', { name: 'Keep as a profile' }).fill('old-mill');
  await page.getByRole('button', { name: 'Read again and go on' }).click();
  await ends('completed', 'completed_with_issues');

  await choose(products('shop_prices.csv', 10_000, { brokenEvery: 12, round: 1 }));
  await shoot(page, 'new-import-chosen-1440-light');
  const review = await start('Check only');
  await ends('waiting');

  await choose(products('supplier_list.csv', 12_000, { brokenEvery: 15, prefix: 'SUP' }));
  const done = await start('Check only');
  await page.getByRole('button', { name: 'Approve and apply' }).click({ timeout: 90_000 });
  await ends('completed_with_issues');

  await addOrdersTable(instance);
  await page.goto(`${instance.url}/quarantine`);
  await shoot(page, 'quarantine-empty-1440-light');
  await choose(infected('invoice_scan.csv'), 'products');
  await start(APPLY);
  await ends('failed');

  const pages: [string, string][] = [
    ['imports', '/'],
    ['imports-filtered', '/?state=failed'],
    ['imports-no-match', '/?q=nothing+like+this'],
    ['new-import', '/imports/new'],
    ['run-completed', done],
    ['run-rows', `${done}?tab=rows`],
    ['run-mapping', `${done}?tab=mapping`],
    ['run-issues', `${done}?tab=issues`],
    ['run-activity', `${done}?tab=activity`],
    ['run-proof', `${done}?tab=proof`],
    ['run-needs-mapping', mapping],
    ['mapping-sheets', sheets],
    ['mapping-dates', dates],
    ['run-needs-decision', review],
    ['run-paused', paused],
    ['run-refused', refused],
    ['datasets', '/datasets'],
    ['dataset-records', '/datasets/products'],
    ['dataset-fields', '/datasets/products?tab=fields'],
    ['dataset-empty', '/datasets/clients'],
    ['dataset-new', '/datasets/new?table=shop.orders'],
    ['quarantine', '/quarantine'],
    ['profiles', '/profiles'],
    ['profile', '/profiles/products/old-mill'],
    ['settings', '/settings'],
    ['not-found', '/imports/00000000-0000-4000-8000-000000000000'],
  ];
  const japanesePages = new Set([
    'imports',
    'new-import',
    'run-completed',
    'run-issues',
    'run-needs-mapping',
    'run-needs-decision',
    'profile',
    'run-paused',
    'settings',
    'dataset-fields',
    'dataset-new',
    'quarantine',
  ]);

  for (const [size, viewport] of [
    ['1440', wide],
    ['390', narrow],
  ] as const) {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const locale of ['en', 'ja'] as const) {
        // Japanese in the light wide and the dark narrow one: widths and colours are tried in both languages.
        if (locale === 'ja' && (size === '1440') !== (colorScheme === 'light')) continue;
        const other = await browser.newContext({
          viewport,
          colorScheme,
          storageState: state,
          locale: locale === 'ja' ? 'ja-JP' : 'en-GB',
        });
        const view = await other.newPage();
        for (const [name, path] of pages) {
          if (locale === 'ja' && !japanesePages.has(name)) continue;
          await view.goto(instance.url + path);
          await shoot(view, `${name}-${size}-${colorScheme}${locale === 'ja' ? '-ja' : ''}`);
        }
        await other.close();
      }
    }
  }

  // What people meet when the server is away.
  await page.goto(instance.url);
  await page.getByRole('link', { name: 'supplier_list.csv' }).waitFor();
  await page.route('**/api/**', (route) => route.abort());
  await page.getByRole('link', { name: 'Datasets' }).click();
  await page.getByRole('heading', { name: 'Waybill does not answer' }).waitFor();
  await shoot(page, 'server-away-1440-light');
} finally {
  await browser.close();
  await instance.stop();
}
