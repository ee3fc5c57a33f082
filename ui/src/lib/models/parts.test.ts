import { describe, expect, it } from 'vitest';
import { backOff, compressionPays, missingParts, planParts, sameFile, type UploadRecord } from './parts.ts';

describe('planParts', () => {
  it('covers every byte once, in order, with a shorter last part', () => {
    for (const [size, partSize] of [
      [1, 8],
      [8, 8],
      [9, 8],
      [250_000_001, 8 << 20],
    ] as const) {
      const parts = planParts(size, partSize);
      expect(parts[0]!.start).toBe(0);
      expect(parts.at(-1)!.end).toBe(size);
      parts.forEach((part, index) => {
        expect(part.number).toBe(index + 1);
        expect(part.end - part.start).toBeLessThanOrEqual(partSize);
        if (index > 0) expect(part.start).toBe(parts[index - 1]!.end);
      });
    }
  });
});

describe('missingParts', () => {
  it('asks again for what is not there or has another size', () => {
    const parts = planParts(25, 10);
    const arrived = [
      { part_number: 1, size: 10 },
      { part_number: 3, size: 4 },
    ];
    expect(missingParts(parts, arrived).map(({ number }) => number)).toEqual([2, 3]);
    expect(
      missingParts(parts, [
        ...arrived.slice(0, 1),
        { part_number: 2, size: 10 },
        { part_number: 3, size: 5 },
      ]),
    ).toEqual([]);
  });
});

describe('sameFile', () => {
  it('takes name, size and time of change together', () => {
    const record = { name: 'a.csv', size: 5, lastModified: 7 } as UploadRecord;
    expect(sameFile(record, { name: 'a.csv', size: 5, lastModified: 7 })).toBe(true);
    expect(sameFile(record, { name: 'a.csv', size: 5, lastModified: 8 })).toBe(false);
    expect(sameFile(record, { name: 'a.csv', size: 6, lastModified: 7 })).toBe(false);
  });
});

describe('compressionPays', () => {
  const text = { ratio: 0.2, compression: 40_000_000 };
  it('compresses for a slow line and sends as it is on a fast one', () => {
    expect(compressionPays(95_000_000, { ...text, upload: 2_000_000 }, false)).toBe(true);
    expect(compressionPays(95_000_000, { ...text, upload: 100_000_000 }, false)).toBe(false);
  });
  it('leaves alone what does not shrink, what is small, and what stays on this machine', () => {
    expect(
      compressionPays(95_000_000, { ratio: 0.98, compression: 40_000_000, upload: 2_000_000 }, false),
    ).toBe(false);
    expect(compressionPays(100_000, { ...text, upload: 2_000_000 }, false)).toBe(false);
    expect(compressionPays(95_000_000, { ...text, upload: null }, true)).toBe(false);
    expect(compressionPays(95_000_000, { ...text, upload: 15_000_000 }, true)).toBe(false);
    expect(compressionPays(95_000_000, { ...text, upload: 1_000_000 }, true)).toBe(true);
  });
});

describe('backOff', () => {
  it('doubles up to half a minute', () => {
    expect([1, 2, 3, 4, 5, 6, 7].map(backOff)).toEqual([1, 2, 4, 8, 16, 30, 30]);
  });
});
