import { expect, it } from 'vitest';
import { pickRecords } from './pick-records.ts';
import type { Dialect } from './types.ts';

const dialect: Dialect = { delimiter: ',', quote: '"', escape: '"' };
const text = 'a,b\r\n1,x\r\n2,"y\r\nz"\r\n3,"say ""hi"""\r\n4,\r\n5,last';
const lines = ['1,x', '2,"y\r\nz"', '3,"say ""hi"""', '4,', '5,last'];
const position = (line: string) => ({
  offset: Buffer.byteLength(text.slice(0, text.indexOf(`\n${line}`) + 1)),
  bytes: Buffer.byteLength(line),
});
const file = { dialect, columns: 2, maxRecordBytes: 1000 };

it('reads any of the records again, with one read where they lie together', async () => {
  const reads: [number, number][] = [];
  const read = async (start: number, end: number) => {
    reads.push([start, end]);
    return Buffer.from(text).subarray(start, end);
  };
  expect(await pickRecords(read, lines.map(position), file)).toEqual([
    ['1', 'x'],
    ['2', 'y\r\nz'],
    ['3', 'say "hi"'],
    ['4', ''],
    ['5', 'last'],
  ]);
  expect(await pickRecords(read, [position(lines[1]!), position(lines[4]!)], file)).toEqual([
    ['2', 'y\r\nz'],
    ['5', 'last'],
  ]);
  expect(reads).toHaveLength(2);
  expect(await pickRecords(read, [], file)).toEqual([]);
});

it('reads far apart records apart', async () => {
  const gap = 'x,y\n'.repeat(100_000);
  const big = Buffer.from(`1,2\n${gap}3,4\n`);
  const reads: number[] = [];
  const read = async (start: number, end: number) => {
    reads.push(end - start);
    return big.subarray(start, end);
  };
  const found = await pickRecords(
    read,
    [
      { offset: 0, bytes: 3 },
      { offset: 4 + gap.length, bytes: 3 },
    ],
    file,
  );
  expect(found).toEqual([
    ['1', '2'],
    ['3', '4'],
  ]);
  expect(reads).toEqual([3, 3]);
});

it('says so where the file is not what it was', async () => {
  const read = async (start: number, end: number) =>
    Buffer.from('"never closed'.padEnd(end)).subarray(start, end);
  await expect(
    pickRecords(
      read,
      [
        { offset: 0, bytes: 3 },
        { offset: 4, bytes: 9 },
      ],
      file,
    ),
  ).rejects.toThrow(/not what it was/);
});
