/**
 * Where timelines come from: the page itself, or a file that was dropped on it.
 */

/** The timelines inside a page, in base 64. @param {ParentNode} page */
export function embedded(page) {
  return [...page.querySelectorAll("script[data-timeline]")].map((element) => element.textContent ?? "");
}

/** The timeline in a file that is a page like this one, in base 64. @param {File} file */
export async function dropped(file) {
  const text = await file.text();
  const found =
    /\x3cscript type="application\/octet-stream" data-timeline="0"[^>]*>([A-Za-z0-9+/=\s]*)\x3c\/script>/.exec(text);
  if (!found) throw new Error(`${file.name} is no page of a timeline; drop one that hydroscope has written.`);
  return found[1];
}

/** Bytes of their text in base 64. @param {string} text */
export function decoded(text) {
  const modern = /** @type {any} */ (Uint8Array).fromBase64;
  try {
    if (modern) return /** @type {Uint8Array} */ (modern.call(Uint8Array, text));
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw new Error("The timeline is damaged: it is not in base 64. Write the page anew.");
  }
}
