import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';
import japanese from 'encoding-japanese';
import { afterAll, describe, expect, it } from 'vitest';
import { convertCommand } from './convert.ts';
import { help } from './help.ts';
import { inspectCommand } from './inspect.ts';

const folder = mkdtempSync(join(tmpdir(), 'waybill-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));
process.env.TMPDIR = folder;

async function run(
  command: 'inspect' | 'convert',
  ...argv: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') =>
    new Writable({
      write(chunk: Buffer, _, done) {
        written[name] += chunk.toString();
        done();
      },
    });
  const streams = { stdout: stream('stdout'), stderr: stream('stderr') };
  const code = await (command === 'inspect' ? inspectCommand : convertCommand)(argv, streams);
  return { code, ...written };
}

function file(name: string, bytes: Buffer | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const rejectsOf = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('inspect', () => {
  it('says what the file is, as the contract has it', async () => {
    const { code, stdout } = await run('inspect', file('a.csv', 'sku;price\r\nA;1,5\r\nB;2;3\r\n'), '--json');
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(report).toMatchObject({
      type: 'csv',
      compression: null,
      encoding: 'utf-8',
      bom: false,
      delimiter: ';',
      quote: '"',
      escape: '"',
      lineEnding: 'crlf',
      preambleRows: 0,
      headerRow: 1,
      rows: 1,
      rejected: 1,
      sheets: null,
      warnings: expect.any(Array),
      columns: [
        { name: 'sku', original: 'sku', type: 'text' },
        { name: 'price', original: 'price', type: 'decimal' },
      ],
    });
    expect(report.sha256).toMatch(/^[0-9a-f]{64}$/u);
  });

  it.each<['inspect' | 'convert', string[], RegExp]>([
    ['inspect', [], /Name one file/u],
    ['inspect', ['/nowhere/x.csv'], /no file/u],
    ['inspect', ['.'], /not a file/u],
    ['inspect', ['x', '--what'], /--what/u],
    ['convert', ['x', '--header-row', 'one'], /--header-row/u],
    ['convert', ['x', '--delimiter', ''], /--delimiter/u],
  ])('refuses %s %j in one clear line', async (command, argv, message) => {
    const { code, stdout, stderr } = await run(command, ...argv);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('leaves nothing behind', async () => {
    await run('inspect', file('left.csv.gz', gzipSync('a,b\n1,2\n')));
    expect(readdirSync(folder).filter((name) => name.startsWith('waybill-'))).toEqual([]);
  });
});

describe('convert', () => {
  it('writes RFC 4180 that reads back as the same cells', async () => {
    const cells = [
      ['h1', 'h2'],
      ['a,"b"', 'x\r\ny'],
      ['', ' é日 '],
      ['1', '="2"'],
    ];
    const text = cells
      .map((row) => row.map((cell) => `'${cell.replaceAll("'", "''")}'`).join('|'))
      .join('\n');
    const { code, stdout } = await run(
      'convert',
      file('b.csv', text),
      '--delimiter',
      '|',
      '--quote',
      "'",
      '--header-row',
      '1',
    );
    expect(code).toBe(0);
    expect(parse(stdout, { record_delimiter: '\r\n' })).toEqual(cells);
  });

  it('keeps a record of one empty cell', async () => {
    expect((await run('convert', file('one.csv', 'foo\n\nbar\n'), '--header-row', '1')).stdout).toBe(
      'foo\r\n""\r\nbar\r\n',
    );
  });

  it('lists what was rejected, with its place in the bytes of the file', async () => {
    const sjis = (text: string) =>
      Buffer.from(japanese.convert(japanese.stringToCode(text), { from: 'UNICODE', to: 'SJIS' }));
    const head = sjis('コード,名前\nA,日本語\n');
    const bad = Buffer.concat([Buffer.from('B,'), Buffer.from([0x85, 0xfd])]);
    const bytes = Buffer.concat([head, bad, sjis('\nC,漢字,過多\nD,株式会社\nE,商事\nF,工業\n')]);
    for (const [name, content] of [
      ['r.csv', bytes],
      ['r.csv.gz', gzipSync(bytes)],
    ] as const) {
      const rejects = join(folder, 'rejects.ndjson');
      const { code, stdout } = await run('convert', file(name, content), '--rejects', rejects);
      expect([code, stdout]).toEqual([0, 'コード,名前\r\nA,日本語\r\nD,株式会社\r\nE,商事\r\nF,工業\r\n']);
      expect(rejectsOf(rejects)).toMatchObject([
        {
          line: 3,
          byteOffset: head.length,
          code: 'invalid_bytes',
          raw: null,
          rawBase64: bad.toString('base64'),
          suggestion: null,
        },
        {
          line: 4,
          byteOffset: head.length + bad.length + 1,
          code: 'too_many_columns',
          raw: 'C,漢字,過多',
          message: expect.any(String),
        },
      ]);
    }
  });

  it('names an unclosed quote by its line, and reads on behind it', async () => {
    const rejects = join(folder, 'quote.ndjson');
    const { stdout } = await run('convert', file('q.csv', 'a,b\n1,"open\n2,x\n3,y\n'), '--rejects', rejects);
    expect(stdout).toBe('a,b\r\n2,x\r\n3,y\r\n');
    expect(rejectsOf(rejects)).toMatchObject([
      { line: 2, byteOffset: 4, code: 'unclosed_quote', raw: '1,"open' },
    ]);
  });
});

describe('--keep-footer', () => {
  const rows = Array.from({ length: 30 }, (_, n) => `A${n},Bolt,${n}.50\n`).join('');
  const path = () => file('footer.csv', `sku,name,price\n${rows}Total,,435.00\n`);

  it('makes records of the lines that were taken for totals', async () => {
    const [skipped, kept] = [await run('convert', path()), await run('convert', path(), '--keep-footer')];
    expect(skipped.stdout).not.toContain('Total');
    expect(kept.stdout).toBe(`${skipped.stdout}Total,,435.00\r\n`);
    const report = JSON.parse((await run('inspect', path(), '--json', '--keep-footer')).stdout) as object;
    expect(report).toMatchObject({ rows: 31, footerRows: 0, footerRow: null });
    expect(help('inspect')).toContain('--keep-footer');
  });
});

describe('convert --repair', () => {
  const rows = Array.from({ length: 30 }, (_, n) => `${n + 1},BH-${9800 + n},${n}.50\n`);
  const text = ['no,part,price\n', ...rows, '31BH-9827,7.50\n', '32,BH-9828,8.50,what\n'].join('');
  const clean = ['no,part,price\n', ...rows].join('').replaceAll('\n', '\r\n');

  it('writes the one certain repair in its place, and says so', async () => {
    const rejects = join(folder, 'repaired.ndjson');
    const { code, stdout, stderr } = await run(
      'convert',
      file('repair.csv', text),
      '--repair',
      '--rejects',
      rejects,
    );
    expect([code, stdout]).toEqual([0, `${clean}31,BH-9827,7.50\r\n`]);
    expect(stderr).toBe('waybill: 1 row was repaired; --rejects marks them.\n');
    const [first, second] = rejectsOf(rejects);
    expect(first).toMatchObject({
      line: 32,
      code: 'too_few_columns',
      raw: '31BH-9827,7.50',
      suggestion: ['31', 'BH-9827', '7.50'],
      repaired: true,
    });
    expect(second).toMatchObject({ line: 33, code: 'too_many_columns', suggestion: null });
    expect(second).not.toHaveProperty('repaired');
  });

  it('is never done without being asked for: the repair is a suggestion then', async () => {
    const rejects = join(folder, 'suggested.ndjson');
    const { stdout } = await run('convert', file('repair.csv', text), '--rejects', rejects);
    expect(stdout).toBe(clean);
    expect(rejectsOf(rejects)[0]).toMatchObject({ suggestion: ['31', 'BH-9827', '7.50'] });
    expect(rejectsOf(rejects)[0]).not.toHaveProperty('repaired');
  });

  it('counts what is left where nobody asked for a list', async () => {
    const { stdout, stderr } = await run('convert', file('repair.csv', text), '--repair');
    expect(stdout).toContain('31,BH-9827,7.50');
    expect(stderr).toMatch(/1 row was repaired\.\n.*1 row could not be read and was left out/u);
  });

  it('belongs to convert, and stands in its help', async () => {
    expect((await run('inspect', file('repair.csv', text), '--repair')).code).toBe(2);
    expect(help('convert')).toMatch(/--repair {2,}\S/u);
    expect(help('inspect')).not.toContain('--repair');
  });
});

describe('csv-test-data, the cases that every reader of RFC 4180 must get right', () => {
  const valid: [string, string, string[][]][] = [
    ['all-empty', '\n\n', [[''], ['']]],
    [
      'empty-field',
      'foo,bar,baz\n1,,3',
      [
        ['foo', 'bar', 'baz'],
        ['1', '', '3'],
      ],
    ],
    ['empty-one-column', 'foo\n\n', [['foo'], ['']]],
    [
      'leading-space',
      'foo,bar,baz\n1, leading space,3',
      [
        ['foo', 'bar', 'baz'],
        ['1', ' leading space', '3'],
      ],
    ],
    ['one-column', 'foo\n1', [['foo'], ['1']]],
    [
      'quotes-empty',
      'foo,bar,baz\n1,"",3',
      [
        ['foo', 'bar', 'baz'],
        ['1', '', '3'],
      ],
    ],
    [
      'quotes-with-comma',
      'foo,bar,baz\n1,"Luke, I am your father.",3',
      [
        ['foo', 'bar', 'baz'],
        ['1', 'Luke, I am your father.', '3'],
      ],
    ],
    [
      'quotes-with-escaped-quote',
      'foo,bar,baz\n1,"The "" must be escaped",3',
      [
        ['foo', 'bar', 'baz'],
        ['1', 'The " must be escaped', '3'],
      ],
    ],
    [
      'quotes-with-newline',
      'foo,bar,baz\n1,"No man is an island,\nEntire of itself",3',
      [
        ['foo', 'bar', 'baz'],
        ['1', 'No man is an island,\nEntire of itself', '3'],
      ],
    ],
    [
      'simple-crlf',
      'foo,bar,baz\r\n1,2,3',
      [
        ['foo', 'bar', 'baz'],
        ['1', '2', '3'],
      ],
    ],
    ['trailing-newline-one-field', 'foo\n1\n', [['foo'], ['1']]],
    [
      'trailing-space',
      'foo,bar,baz\n1,trailing space ,3',
      [
        ['foo', 'bar', 'baz'],
        ['1', 'trailing space ', '3'],
      ],
    ],
    [
      'utf8',
      'foo,bar,baz\n1,😎,3',
      [
        ['foo', 'bar', 'baz'],
        ['1', '😎', '3'],
      ],
    ],
  ];
  it.each(valid)('%s', async (name, text, expected) => {
    const { code, stdout } = await run('convert', file(`${name}.csv`, text), '--header-row', '0');
    expect([code, parse(stdout, { record_delimiter: '\r\n' })]).toEqual([0, expected]);
  });

  it.each([
    ['less-fields', '1,2', 'too_few_columns'],
    ['more-fields', '1,2,3,4', 'too_many_columns'],
    ['missing-quote', '1,"I forgot to close this one,3', 'unclosed_quote'],
  ])('bad-%s', async (name, row, code) => {
    const rejects = join(folder, 'bad.ndjson');
    const result = await run(
      'convert',
      file(`bad-${name}.csv`, `foo,bar,baz\n${row}`),
      '--header-row',
      '1',
      '--rejects',
      rejects,
    );
    expect(result.stdout).toBe('foo,bar,baz\r\n');
    expect(rejectsOf(rejects)).toMatchObject([{ line: 2, code }]);
  });
});

describe('what convert writes', () => {
  it.each<[string, (source: string) => string, RegExp]>([
    ['the file itself', (source) => source, /is the file that is read/u],
    ['a folder that is not there', () => join(folder, 'none', 'x'), /no such folder/u],
    ['a folder', () => folder, /it is a folder/u],
    ['a full disk', () => '/dev/full', /disk is full/u],
  ])('--rejects naming %s is one clear line, and the file stays', async (_, named, message) => {
    const source = file('kept.csv', 'a,b\n1,2\n3\n');
    const { code, stderr } = await run('convert', source, '--rejects', named(source));
    expect([code, stderr.split('\n').length]).toEqual([2, 2]);
    expect(stderr).toMatch(message);
    expect(readFileSync(source, 'utf8')).toBe('a,b\n1,2\n3\n');
  });

  it('leaves an older list of rejects as it was where the file cannot be read', async () => {
    const rejects = file('older.ndjson', 'older\n');
    expect((await run('convert', file('none.csv', ''), '--rejects', rejects)).code).toBe(2);
    expect(readFileSync(rejects, 'utf8')).toBe('older\n');
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it.each(['a reader that has seen enough', 'Ctrl-C'])(
    'leaves nothing behind for %s',
    async (how) => {
      const lines = Array.from({ length: 20_000 }, () => `${randomBytes(40).toString('hex')},2\n`);
      const source = file('ended.csv.gz', gzipSync(`a,b\n${lines.join('')}`));
      const child = spawn(
        fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url)),
        [fileURLToPath(new URL('main.ts', import.meta.url)), 'convert', source],
        { stdio: ['ignore', 'pipe', 'ignore'] },
      );
      await once(child.stdout, 'data');
      expect(readdirSync(folder).filter((name) => name.startsWith('waybill-'))).toHaveLength(1);
      if (how === 'Ctrl-C') child.kill('SIGINT');
      child.stdout.destroy();
      const ended = (await once(child, 'exit')) as [number | null, string | null];
      if (how !== 'Ctrl-C') expect(ended).toEqual([0, null]);
      expect(readdirSync(folder).filter((name) => name.startsWith('waybill-'))).toEqual([]);
    },
    20_000,
  );

  it('quotes and doubles exactly where it must', async () => {
    const text = 'a;b\n"x;1";"q""q"\n"c,d";"l\nm"\n;plain "é" 日\n';
    const { stdout } = await run(
      'convert',
      file('quotes.csv', text),
      '--delimiter',
      ';',
      '--header-row',
      '1',
    );
    expect(stdout).toBe('a,b\r\nx;1,"q""q"\r\n"c,d","l\nm"\r\n,"plain ""é"" 日"\r\n');
  });
});

it('nothing of a file or its name steers the terminal', async () => {
  const { stdout } = await run(
    'inspect',
    file('esc.csv', 'a\u001b]0;x\u0007,b\u202e\n1,2\n3,4\n'),
    '--header-row',
    '1',
  );
  expect(stdout).toContain('a\\u001b]0;x\\u0007');
  expect(stdout).toContain('b\\u202e');
  expect(stdout).not.toMatch(/[\u001b\u0007\u202e]/u);
  for (const argv of [['/nowhere/\u001b[2J'], [file('c.csv', 'a,b\n1,2\n'), '--encoding', '\u001b[2J']]) {
    const { code, stderr } = await run('inspect', ...argv);
    expect(code).toBe(2);
    expect(stderr).toContain('\\u001b[2J');
    expect(stderr).not.toContain('\u001b');
  }
});

it.each([
  ['names.json', '[{"a":1,"b":2},{"a":3,"b":4}]'],
  ['names.ndjson', '{"a":1,"b":2}\n{"a":3,"b":4}\n'],
])('convert writes the names of %s', async (name, text) => {
  expect((await run('convert', file(name, text))).stdout).toBe('a,b\r\n1,2\r\n3,4\r\n');
});
