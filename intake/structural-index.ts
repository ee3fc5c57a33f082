import {
  add,
  again,
  and64,
  bits,
  get,
  i32,
  i64,
  isZero64,
  left64,
  less,
  load16,
  loop,
  moduleOf,
  narrow,
  not32,
  not64,
  or16,
  or64,
  right64,
  rightSigned64,
  sameBytes,
  set,
  spread,
  stop,
  store32,
  sub64,
  times4,
  trailingZeros64,
  wide,
  when,
  xor64,
  type Code,
} from './wasm-text.ts';

/** So many bytes are looked through at a time: with their positions they stay in the processor's nearest cache. */
export const INDEX_BYTES = 16 * 1024;
/** Only whole steps are indexed. */
export const INDEX_STEP = 64;

/** How quotes are to be taken. */
export const NO_QUOTES = 0;
export const QUOTES = 1;
/** The index ends before the first of them. */
export const NEVER_QUOTES = 2;

/** What is carried from one stretch to the next: 1 inside quotes, 2 behind a separator, 4 behind a closing quote. */
const BEHIND_SEPARATOR = 2;

/** Where the function finds and leaves things in its memory. */
const POSITIONS_AT = INDEX_BYTES;
const STATE_AT = POSITIONS_AT + 4 * INDEX_BYTES;

/**
 * The function: (length, delimiter, quote, base, state, quotes) -> how many positions.
 *
 * A byte of text is a bit of a word of 64. Of the quotes every other one opens: the running sum of their bits, without
 * carry, is where text is quoted (as in "Parsing Gigabytes of JSON per Second", Langdale and Lemire 2019). A quote that
 * opens behind no separator, or that closes before none, is stray or doubled: there the index ends, and whoever reads
 * the record looks at its bytes.
 */
function assemble(): Uint8Array {
  const [length, delimiter, quote, base, state, quotes] = [0, 1, 2, 3, 4, 5].map(get) as [
    Code, Code, Code, Code, Code, Code,
  ]; // prettier-ignore
  const [I, COUNT] = [6, 7];
  const [
    DIVIDE,
    BREAK,
    NUL,
    QUOTE,
    IN,
    OPEN,
    CLOSE,
    ENDS,
    WRONG,
    INSIDE_BEFORE,
    ENDED_BEFORE,
    CLOSED_BEFORE,
  ] = [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19] as const;
  const [BYTES, DELIMITER_16, QUOTE_16, LF_16, CR_16, NUL_16] = [20, 21, 22, 23, 24, 25];
  const [i, count] = [get(I), get(COUNT)];
  const flag = (shift: number) => and64(right64(wide(state), i64(BigInt(shift))), i64(1n));
  const bit = (value: Code) => narrow(and64(value, i64(1n)));

  /** Adds the bits of sixteen bytes to a word. */
  const gather = (word: number, found: Code, part: number) =>
    set(word, or64(get(word), left64(wide(bits(found)), i64(BigInt(16 * part)))));
  const is = (what: number) => sameBytes(get(BYTES), get(what));
  const parts = [0, 1, 2, 3].flatMap((part) => [
    set(BYTES, load16(i, 16 * part)),
    gather(DIVIDE, is(DELIMITER_16), part),
    gather(QUOTE, is(QUOTE_16), part),
    gather(BREAK, or16(is(LF_16), is(CR_16)), part),
    gather(NUL, is(NUL_16), part),
  ]);
  const runningSum = [1n, 2n, 4n, 8n, 16n, 32n].map((shift) =>
    set(IN, xor64(get(IN), left64(get(IN), i64(shift)))),
  );
  const outside = not64(get(IN));
  const leave = store32(
    i32(STATE_AT),
    add(
      add(bit(get(INSIDE_BEFORE)), narrow(left64(get(ENDED_BEFORE), i64(1n)))),
      narrow(left64(get(CLOSED_BEFORE), i64(2n))),
    ),
  );
  const found = or64(or64(and64(get(DIVIDE), outside), get(BREAK)), get(NUL));
  return moduleOf(6, { i32: 2, i64: 12, v128: 6 }, 2, [
    set(DELIMITER_16, spread(delimiter)),
    set(QUOTE_16, spread(quote)),
    set(LF_16, spread(i32(10))),
    set(CR_16, spread(i32(13))),
    set(INSIDE_BEFORE, sub64(i64(0n), flag(0))),
    set(ENDED_BEFORE, flag(1)),
    set(CLOSED_BEFORE, flag(2)),
    loop(
      ...[DIVIDE, BREAK, NUL, QUOTE].map((word) => set(word, i64(0n))),
      ...parts,
      when(isZero64(wide(quotes)), set(QUOTE, i64(0n))),
      set(IN, get(QUOTE)),
      ...runningSum,
      set(IN, xor64(get(IN), get(INSIDE_BEFORE))),
      set(INSIDE_BEFORE, rightSigned64(get(IN), i64(63n))),
      set(OPEN, and64(get(QUOTE), get(IN))),
      set(CLOSE, and64(get(QUOTE), outside)),
      set(ENDS, and64(or64(get(DIVIDE), get(BREAK)), outside)),
      set(
        WRONG,
        or64(
          and64(get(OPEN), not64(or64(left64(get(ENDS), i64(1n)), get(ENDED_BEFORE)))),
          and64(or64(left64(get(CLOSE), i64(1n)), get(CLOSED_BEFORE)), not64(get(ENDS))),
        ),
      ),
      when(less(i32(QUOTES), quotes), set(WRONG, get(QUOTE))),
      set(ENDED_BEFORE, right64(get(ENDS), i64(63n))),
      set(CLOSED_BEFORE, right64(get(CLOSE), i64(63n))),
      set(IN, found),
      when(
        not32(isZero64(get(WRONG))),
        set(IN, and64(get(IN), sub64(and64(get(WRONG), sub64(i64(0n), get(WRONG))), i64(1n)))),
        store32(i32(STATE_AT), add(i, narrow(trailingZeros64(get(WRONG)))), 4),
      ),
      when(
        not32(isZero64(get(IN))),
        loop(
          store32(times4(count), add(add(base, i), narrow(trailingZeros64(get(IN)))), POSITIONS_AT),
          set(COUNT, add(count, i32(1))),
          set(IN, and64(get(IN), sub64(get(IN), i64(1n)))),
          again(0, not32(isZero64(get(IN)))),
        ),
      ),
      when(not32(isZero64(get(WRONG))), stop(count)),
      set(I, add(i, i32(INDEX_STEP))),
      again(0, less(i, length)),
    ),
    leave,
    store32(i32(STATE_AT), length, 4),
    count,
  ]);
}

/** What is used of it: Node's types leave it to those of browsers. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: unknown };
};

interface Exports {
  m: { buffer: ArrayBuffer };
  f(length: number, delimiter: number, quote: number, base: number, state: number, quotes: number): number;
}

interface Machine {
  find: Exports['f'];
  bytes: Uint8Array;
  positions: Int32Array;
  /** Of the last call: what is carried on, and how many bytes were looked through. */
  left: Int32Array;
}

let made: Machine | null | undefined;

/** Null where the processor lacks the instructions: then records are found byte by byte. */
function machine(): Machine | null {
  if (made !== undefined) return made;
  const code = assemble();
  if (!WebAssembly.validate(code)) return (made = null);
  const { m, f } = new WebAssembly.Instance(new WebAssembly.Module(code)).exports as Exports;
  made = {
    find: f,
    bytes: new Uint8Array(m.buffer, 0, INDEX_BYTES),
    positions: new Int32Array(m.buffer, POSITIONS_AT, INDEX_BYTES),
    left: new Int32Array(m.buffer, STATE_AT, 2),
  };
  return made;
}

/**
 * Where the bytes that divide stand: delimiters outside quotes, line ends and NULs anywhere. Quotes need no place of
 * their own: the one that opens a field stands before it, the one that closes it before what ends it.
 */
export class StructuralIndex {
  readonly positions = new Int32Array(INDEX_BYTES);
  known = 0;
  /** How many bytes were looked through; fewer than were given where a quote is stray or doubled. */
  bytes = 0;
  private state = BEHIND_SEPARATOR;
  private readonly delimiter: number;
  private readonly quote: number;
  private readonly quotes: number;

  constructor(delimiter: number, quote: number, quotes: number) {
    this.delimiter = delimiter < 0 ? 10 : delimiter;
    this.quote = quote;
    this.quotes = quote < 0 ? NO_QUOTES : quotes;
  }

  /**
   * Looks through at most `INDEX_BYTES`, whole steps of 64; false where the processor cannot. `fresh`: a record begins
   * here; otherwise the text goes on where the last call ended.
   */
  read(bytes: Buffer, from: number, to: number, fresh: boolean): boolean {
    const simd = machine();
    if (!simd) return false;
    bytes.copy(simd.bytes, 0, from, to);
    const state = fresh ? BEHIND_SEPARATOR : this.state;
    this.known = simd.find(to - from, this.delimiter, this.quote, from, state, this.quotes);
    [this.state, this.bytes] = simd.left as unknown as [number, number];
    this.positions.set(simd.positions.subarray(0, this.known));
    return true;
  }
}
