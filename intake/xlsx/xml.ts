import { TextDecoder } from 'node:util';
import { SaxesParser } from 'saxes';
import { FileError } from '../types.ts';

export interface XmlHandlers {
  /** Names come without prefix where it is the root's; elements of other vocabularies keep theirs. */
  open?(name: string, attributes: Record<string, string>): void;
  text?(text: string): void;
  close?(name: string): void;
}

/** No real part nests deeper, or holds a longer text. */
const MAX_DEPTH = 200;
const MAX_TEXT = 16 * 1024 * 1024;
const LT = 0x3c;

/**
 * A part on its way through the parser. A document type, and with it every entity of its own, is refused; so is
 * anything that is not well-formed.
 */
export class XmlStream {
  /** Names of the open elements, as the handlers get them. */
  readonly path: string[] = [];
  private readonly parser = new SaxesParser({ position: false });
  private decoder: TextDecoder | null = null;
  private utf8 = true;
  private prefix: string | null = null;
  private textLength = 0;
  /** Every `<` that went in, and everything that begins with one that came out. */
  private begun = 0;
  private ended = 0;

  constructor({ open, text, close }: XmlHandlers) {
    const { parser, path } = this;
    const onText = (piece: string) => {
      this.textLength += piece.length;
      if (this.textLength > MAX_TEXT) this.fail(brokenPart('it holds an endless text'));
      text?.(piece);
    };
    parser.on('doctype', () =>
      this.fail(
        new FileError(
          'document_type',
          'The workbook holds a document type declaration, which no real one does. It was not read.',
        ),
      ),
    );
    parser.on('error', (error) => this.fail(brokenPart(error.message)));
    parser.on('xmldecl', () => this.ended++);
    parser.on('processinginstruction', () => this.ended++);
    parser.on('comment', () => this.ended++);
    parser.on('cdata', (piece) => {
      this.ended++;
      onText(piece);
    });
    parser.on('text', onText);
    parser.on('opentag', (tag) => {
      this.ended++;
      this.prefix ??= tag.name.includes(':') ? tag.name.slice(0, tag.name.indexOf(':') + 1) : '';
      const name = this.local(tag.name);
      path.push(name);
      this.textLength = 0;
      if (path.length > MAX_DEPTH) this.fail(brokenPart('its elements nest too deeply'));
      open?.(name, tag.attributes as Record<string, string>);
    });
    parser.on('closetag', (tag) => {
      if (!tag.isSelfClosing) this.ended++;
      const name = path.pop()!;
      this.textLength = 0;
      close?.(name);
    });
  }

  /** Takes bytes wherever they are cut; handlers run before it returns. */
  write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.decoder ??= this.decoderFor(bytes);
    for (let at = bytes.indexOf(LT); at >= 0; at = bytes.indexOf(LT, at + 1)) this.begun++;
    let text: string;
    try {
      text = this.decoder.decode(bytes, { stream: true });
    } catch {
      throw brokenPart('it holds text that is not UTF-8');
    }
    this.parser.write(text);
  }

  end(): void {
    let text: string;
    try {
      text = this.decoder?.decode() ?? '';
    } catch {
      throw brokenPart('it ends in the middle of a character');
    }
    this.parser.write(text);
    this.parser.close();
  }

  /**
   * Whether what was written so far ends between two children of the element with this path, and nowhere else. A `<` that
   * begins nothing (in a comment) makes it say no for the rest of the part, which costs time only.
   */
  isBetweenChildrenOf(path: readonly string[]): boolean {
    return (
      this.begun === this.ended &&
      this.path.length === path.length &&
      path.every((name, index) => this.path[index] === name)
    );
  }

  /** Whether the bytes of names are the names: UTF-8, XML 1.0, no prefix. */
  get isPlain(): boolean {
    return this.utf8 && this.prefix === '' && this.parser.xmlDecl.version !== '1.1';
  }

  /** At once: the parser would go on to the end of the chunk. */
  private fail(error: Error): never {
    throw error;
  }

  private local(name: string): string {
    const prefix = this.prefix!;
    if (prefix === '') return name;
    return name.startsWith(prefix) ? name.slice(prefix.length) : `:${name}`;
  }

  private decoderFor(bytes: Uint8Array): TextDecoder {
    const [first, second] = bytes;
    const encoding =
      (first === 0xff && second === 0xfe) || (first === 0x3c && second === 0)
        ? 'utf-16le'
        : (first === 0xfe && second === 0xff) || (first === 0 && second === 0x3c)
          ? 'utf-16be'
          : 'utf-8';
    this.utf8 = encoding === 'utf-8';
    return new TextDecoder(encoding, { fatal: true });
  }
}

export async function parseXml(chunks: AsyncIterable<Buffer>, handlers: XmlHandlers): Promise<void> {
  const xml = new XmlStream(handlers);
  for await (const chunk of chunks) xml.write(chunk);
  xml.end();
}

export function brokenPart(what: string): FileError {
  return new FileError(
    'broken_workbook',
    `The workbook is damaged (${what}). Save it again in Excel and import that.`,
  );
}
