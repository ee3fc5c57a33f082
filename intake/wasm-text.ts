/**
 * WebAssembly by the name of its instructions: what is small enough to be written by hand, and has to be sixteen bytes at
 * a time. Every function makes the bytes of one expression or statement.
 */
export type Code = number[];

const instruction =
  (...code: number[]) =>
  (...operands: Code[]): Code => [...operands.flat(), ...code];
const vector = (...code: number[]) => instruction(0xfd, ...code);

export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)];
export const i32 = (value: number): Code => [0x41, ...signed(BigInt(value))];
export const i64 = (value: bigint): Code => [0x42, ...signed(value)];

export const loop = (...body: Code[]): Code => [0x03, 0x40, ...body.flat(), 0x0b];
/** `again`: of the loop that stands so many blocks around. */
export const again = (depth: number, condition: Code): Code => [...condition, 0x0d, depth];
export const when = (condition: Code, ...body: Code[]): Code => [
  ...condition,
  0x04,
  0x40,
  ...body.flat(),
  0x0b,
];
export const stop = (value: Code): Code => [...value, 0x0f];

export const add = instruction(0x6a);
export const times4 = (value: Code): Code => [...value, ...i32(2), 0x74];
export const not32 = instruction(0x45);
export const less = instruction(0x49);
export const isZero64 = instruction(0x50);
export const trailingZeros64 = instruction(0x7a);
export const sub64 = instruction(0x7d);
export const and64 = instruction(0x83);
export const or64 = instruction(0x84);
export const xor64 = instruction(0x85);
export const left64 = instruction(0x86);
export const rightSigned64 = instruction(0x87);
export const right64 = instruction(0x88);
export const narrow = instruction(0xa7);
export const wide = instruction(0xad);
export const not64 = (value: Code): Code => xor64(value, i64(-1n));

export const store32 = (at: Code, value: Code, offset = 0): Code => [
  ...at,
  ...value,
  0x36,
  2,
  ...unsigned(offset),
];
export const load16 = (at: Code, offset = 0): Code => [...at, 0xfd, 0x00, 0, ...unsigned(offset)];
/** Sixteen times the same byte. */
export const spread = vector(0x0f);
export const sameBytes = vector(0x23);
export const or16 = vector(0x50);
/** The top bit of each of sixteen bytes. */
export const bits = vector(0x64);

/** One function from so many i32 to one i32, exported as `f`, over so many 64 KiB of memory, exported as `m`. */
export function moduleOf(
  parameters: number,
  locals: { i32: number; i64: number; v128: number },
  pages: number,
  body: Code[],
): Uint8Array {
  const declared = [
    [...unsigned(locals.i32), 0x7f],
    [...unsigned(locals.i64), 0x7e],
    [...unsigned(locals.v128), 0x7b],
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version
    ...section(1, [1, 0x60, parameters, ...Array<number>(parameters).fill(0x7f), 1, 0x7f]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, pages]),
    ...section(7, [2, 1, 0x6d, 2, 0, 1, 0x66, 0, 0]),
    ...section(10, [1, ...sized([3, ...declared.flat(), ...body.flat(), 0x0b])]),
  ]);
}

function section(id: number, content: Code): Code {
  return [id, ...sized(content)];
}

function sized(content: Code): Code {
  return [...unsigned(content.length), ...content];
}

/** Numbers of variable width, seven bits a byte, the lowest first. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: bigint): Code {
  const low = Number(value & 0x7fn);
  const rest = value >> 7n;
  return (rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40) ? [low] : [low | 0x80, ...signed(rest)];
}
