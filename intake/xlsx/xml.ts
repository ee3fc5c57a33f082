import { SaxesParser } from 'saxes';
import { FileError } from '../types.ts';

export interface XmlHandlers {
  /** Names come without their prefix. */
  open?(name: string, attributes: Record<string, string>): void;
  text?(text: string): void;
  close?(name: string): void;
}

/** Streams a part through the parser. A document type, and with it every entity of its own, is refused. */
export async function parseXml(
  chunks: AsyncIterable<Buffer>,
  handlers: XmlHandlers,
  afterChunk?: () => Promise<void> | undefined,
): Promise<void> {
  const parser = new SaxesParser();
  let failure: Error | null = null;
  const fail = (error: Error) => {
    failure ??= error;
  };
  parser.on('doctype', () =>
    fail(
      new FileError(
        'document_type',
        'The workbook holds a document type declaration, which no real one does. It was not read.',
      ),
    ),
  );
  parser.on('error', (error) =>
    fail(
      new FileError(
        'broken_workbook',
        `The workbook is damaged (${error.message}). Save it again in Excel and import that.`,
      ),
    ),
  );
  const { open, text, close } = handlers;
  if (open) parser.on('opentag', (tag) => open(local(tag.name), tag.attributes as Record<string, string>));
  if (text) parser.on('text', text);
  if (close) parser.on('closetag', (tag) => close(local(tag.name)));
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for await (const chunk of chunks) {
    let part: string;
    try {
      part = decoder.decode(chunk, { stream: true });
    } catch {
      throw new FileError(
        'broken_workbook',
        'The workbook holds text that is not UTF-8. Save it again in Excel and import that.',
      );
    }
    parser.write(part);
    if (failure) throw failure as Error;
    const pause = afterChunk?.();
    if (pause) await pause;
  }
  parser.write(decoder.decode()).close();
  if (failure) throw failure as Error;
}

function local(name: string): string {
  const colon = name.indexOf(':');
  return colon < 0 ? name : name.slice(colon + 1);
}
