/** Exit codes of every command; the table stands in docs and in `waybill help`. */
export const EXIT = {
  completed: 0,
  failed: 1,
  refused: 2,
  issues: 3,
  waiting: 4,
  cancelled: 5,
  /** A shell's own code for a program that Ctrl-C ended. */
  interrupted: 130,
} as const;

/** Ends the command with one sentence on stderr that says what to do next. */
export class Refusal extends Error {
  readonly code: string;
  readonly exit: number;
  constructor(code: string, message: string, exit: number = EXIT.refused) {
    super(message);
    this.name = 'Refusal';
    this.code = code;
    this.exit = exit;
  }
}
