/** A header without what differs by taste: case, width, accents, punctuation, kana's two scripts. */
export function normaliseName(name: string): string {
  return headerWords(name).join('');
}

/** Its words, normalised. */
export function headerWords(name: string): string[] {
  return (
    name
      .normalize('NFKC')
      .replace(/([\p{Ll}\d])(\p{Lu})/gu, '$1 $2')
      .toLowerCase()
      .replace(/#/gu, ' no ')
      .replace(/ß/gu, 'ss')
      .replace(/[\u3041-\u3096]/gu, (kana) => String.fromCharCode(kana.charCodeAt(0) + 0x60))
      .normalize('NFD')
      // Marks over Latin letters go; the voicing marks of kana are part of the letter.
      .replace(/[\u0300-\u036F]/gu, '')
      .normalize('NFC')
      // Spaces between single Japanese characters are layout.
      .replace(
        /(?<=[\p{Script=Han}\p{Script=Katakana}])\s+(?=[\p{Script=Han}\p{Script=Katakana}](?:\s|$))/gu,
        '',
      )
      .split(/[^\p{L}\p{N}ー]+/u)
      .filter((word) => word !== '')
  );
}
