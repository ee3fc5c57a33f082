/** So many bytes are looked through at a time: with their positions they stay in the processor's nearest cache. */
export const INDEX_BYTES = 16 * 1024;

/**
 * Finds the bytes that divide text, sixteen at a time: nothing in JavaScript comes near it. The module, in the text form of
 * WebAssembly:
 *
 *   (func (param $length i32) (param $delimiter i32) (param $quote i32) (param $base i32) (result i32)
 *     (local $i i32) (local $count i32) (local $found i32) (local $bytes v128) (local $d v128) (local $q v128)
 *     $d = splat($delimiter); $q = splat($quote)
 *     loop
 *       $bytes = load($i)
 *       $found = bitmask($bytes == $d | $bytes == $q | $bytes == LF | $bytes == CR | $bytes == NUL)
 *       while $found: store(16384 + 4 * $count++, $base + $i + ctz($found)); $found &= $found - 1
 *       $i += 16
 *     while $i < $length
 *     return $count)
 */
const MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version
  ...[0x01, 0x09, 0x01, 0x60, 0x04, 0x7f, 0x7f, 0x7f, 0x7f, 0x01, 0x7f], // type: four i32 to one
  ...[0x03, 0x02, 0x01, 0x00], // one function of it
  ...[0x05, 0x03, 0x01, 0x00, 0x02], // two pages of memory
  ...[0x07, 0x09, 0x02, 0x01, 0x6d, 0x02, 0x00, 0x01, 0x66, 0x00, 0x00], // exported as m and f
  ...section(0x0a, [0x01, ...sized([...body()])]),
]);

function* body(): Generator<number> {
  const equals = (code: number[]) => [0x20, 0x07, ...code, 0xfd, 0x23]; // $bytes, code, i8x16.eq
  const byte = (value: number) => [0xfd, 0x0c, ...Array<number>(16).fill(value)]; // v128.const
  const or = [0xfd, 0x50];
  yield* [0x02, 0x03, 0x7f, 0x03, 0x7b]; // locals 4 to 6: i32; 7 to 9: v128
  yield* [0x20, 0x01, 0xfd, 0x0f, 0x21, 0x08]; // $d
  yield* [0x20, 0x02, 0xfd, 0x0f, 0x21, 0x09]; // $q
  yield* [0x03, 0x40]; // loop
  yield* [0x20, 0x04, 0xfd, 0x00, 0x00, 0x00, 0x21, 0x07]; // $bytes
  yield* [...equals([0x20, 0x08]), ...equals([0x20, 0x09]), ...or];
  for (const value of [10, 13, 0]) yield* [...equals(byte(value)), ...or];
  yield* [0xfd, 0x64, 0x21, 0x06]; // $found
  yield* [0x02, 0x40, 0x20, 0x06, 0x45, 0x0d, 0x00, 0x03, 0x40]; // block: if none leave; loop
  yield* [0x20, 0x05, 0x41, 0x02, 0x74]; // $count << 2
  yield* [0x20, 0x03, 0x20, 0x04, 0x6a, 0x20, 0x06, 0x68, 0x6a]; // $base + $i + ctz($found)
  yield* [0x36, 0x02, 0x80, 0x80, 0x01]; // i32.store offset 16384
  yield* [0x20, 0x05, 0x41, 0x01, 0x6a, 0x21, 0x05]; // $count++
  yield* [0x20, 0x06, 0x20, 0x06, 0x41, 0x01, 0x6b, 0x71, 0x22, 0x06, 0x0d, 0x00, 0x0b, 0x0b]; // next of $found
  yield* [0x20, 0x04, 0x41, 0x10, 0x6a, 0x22, 0x04, 0x20, 0x00, 0x49, 0x0d, 0x00, 0x0b]; // $i += 16
  yield* [0x20, 0x05, 0x0b];
}

function section(id: number, content: number[]): number[] {
  return [id, ...sized(content)];
}

/** Behind their length, in the variable-width form of the format. */
function sized(content: number[]): number[] {
  const { length } = content;
  return length < 0x80 ? [length, ...content] : [(length & 0x7f) | 0x80, length >> 7, ...content];
}

/** What is used of it: Node's types leave it to those of browsers. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: unknown };
};

interface Exports {
  m: { buffer: ArrayBuffer };
  f(length: number, delimiter: number, quote: number, base: number): number;
}

let made: { find: Exports['f']; bytes: Uint8Array; positions: Int32Array } | null | undefined;

/** Null where the processor lacks the instructions: then records are found byte by byte. */
function instance() {
  if (made !== undefined) return made;
  if (!WebAssembly.validate(MODULE)) return (made = null);
  const { m, f } = new WebAssembly.Instance(new WebAssembly.Module(MODULE)).exports as Exports;
  made = {
    find: f,
    bytes: new Uint8Array(m.buffer, 0, INDEX_BYTES),
    positions: new Int32Array(m.buffer, INDEX_BYTES, INDEX_BYTES),
  };
  return made;
}

/**
 * Writes the positions of delimiters, quotes, line ends and NULs among at most `INDEX_BYTES` bytes, in order; answers how
 * many there are, or -1 where it cannot be done. Bytes are given below 0x80.
 */
export function indexStructure(
  bytes: Buffer,
  from: number,
  to: number,
  delimiter: number,
  quote: number,
  positions: Int32Array,
): number {
  const machine = instance();
  if (!machine) return -1;
  const length = to - from;
  bytes.copy(machine.bytes, 0, from, to);
  machine.bytes.fill(0x80, length, Math.min(INDEX_BYTES, (length + 15) & ~15));
  const count = machine.find(length, delimiter, quote, from);
  positions.set(machine.positions.subarray(0, count));
  return count;
}
