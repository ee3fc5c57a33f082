/** Guesses from the first bytes of a file which dataset it is for. Only a proposal: the server reads the file itself. */

const delimiters = [',', ';', '\t', '|'] as const;

function decode(head: Uint8Array): string {
  if (head[0] === 0xff && head[1] === 0xfe) return new TextDecoder('utf-16le').decode(head);
  if (head[0] === 0xfe && head[1] === 0xff) return new TextDecoder('utf-16be').decode(head);
  for (const label of ['utf-8', 'shift_jis']) {
    try {
      // `stream` so that a character cut off at the end of the sample is no error.
      return new TextDecoder(label, { fatal: true }).decode(head, { stream: true });
    } catch {
      continue;
    }
  }
  return new TextDecoder('windows-1252').decode(head);
}

function cells(text: string, delimiter: string): string[] {
  const found: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i]!;
    if (char === '"') {
      if (quoted && text[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else quoted = !quoted;
    } else if (!quoted && char === delimiter) {
      found.push(cell);
      cell = '';
    } else if (!quoted && (char === '\n' || char === '\r')) {
      break;
    } else cell += char;
  }
  found.push(cell);
  return found.map((value) => value.trim());
}

/** The cells of the first line that has more than one, or of the first line. */
export function headerOf(head: Uint8Array): string[] {
  const text = decode(head).replace(/^\uFEFF/, '');
  const lines = text.split(/\r\n|\r|\n/).slice(0, 20);
  for (const line of lines) {
    const best = delimiters
      .map((delimiter) => cells(line, delimiter))
      .reduce((widest, next) => (next.length > widest.length ? next : widest));
    if (best.length > 1 && best.filter(Boolean).length > 1) return best;
  }
  return cells(lines.find((line) => line.trim() !== '') ?? '', ',').filter(Boolean);
}

export function normalise(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s_\-./()[\]"'#:*]+/g, '');
}

interface Candidate {
  name: string;
  fields: { name: string; required: boolean; aliases: string[]; title: { en: string; ja: string } }[];
}

export interface Guess {
  dataset: string;
  /** How many columns of the header are known to the dataset. */
  known: number;
  columns: number;
}

/** The dataset that knows most of the header's columns, if it knows its required fields or at least half of them. */
export function guessDataset(header: string[], datasets: Candidate[]): Guess | null {
  const columns = header.filter(Boolean);
  let best: (Guess & { missing: number }) | null = null;
  for (const dataset of datasets) {
    const names = columns.map(normalise);
    let known = 0;
    let missing = 0;
    for (const field of dataset.fields) {
      const known_as = [field.name, field.title.en, field.title.ja, ...field.aliases].map(normalise);
      if (names.some((name) => known_as.includes(name))) known += 1;
      else if (field.required) missing += 1;
    }
    const better = !best || missing < best.missing || (missing === best.missing && known > best.known);
    if (known > 0 && better) best = { dataset: dataset.name, known, columns: columns.length, missing };
  }
  if (!best || (best.missing > 0 && best.known * 2 < best.columns)) return null;
  return { dataset: best.dataset, known: best.known, columns: best.columns };
}
