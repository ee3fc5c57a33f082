/**
 * Does a text begin as JSON does that holds records? A CSV may begin with a brace or a bracket too: only an object's first
 * name in quotes, or an array's first element that is an object, an array or none, is a sign.
 */
export function looksLikeJson(text: string): boolean {
  return /^[\s\x1E]*(?:\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|"(?:[^"\\]|\\.)*$|\}\s*(?:$|\{\s*(?:["}]|$)))|\[\s*(?:\{\s*(?:"|\}|$)|\[|\]\s*$|$))/u.test(
    text.replace(/^\uFEFF/u, ''),
  );
}
