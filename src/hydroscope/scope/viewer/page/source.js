/**
 * Where timelines come from: the page itself, an address, a file that was dropped. All give the bytes of a container.
 */

/** @typedef {{name: string, bytes: () => Promise<Uint8Array>}} Source */

/** The timelines inside a page. @param {ParentNode} page @returns {Source[]} */
export function embedded(page) {
  return [...page.querySelectorAll("script[data-timeline]")].map((element) => ({
    name: element.getAttribute("data-name") ?? "",
    bytes: async () => decoded(element.textContent ?? ""),
  }));
}

/** One at an address. @param {string} address @returns {Source} */
export function fetched(address) {
  return {
    name: address,
    bytes: async () => {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(`${address} answered ${answer.status}`);
      return new Uint8Array(await answer.arrayBuffer());
    },
  };
}

/** One in a file: a page like this one. @param {File} file @returns {Source} */
export function dropped(file) {
  return {
    name: file.name,
    bytes: async () => {
      const text = await file.text();
      const found =
        /\x3cscript type="application\/octet-stream" data-timeline="0"[^>]*>([A-Za-z0-9+/=\s]*)\x3c\/script>/.exec(
          text,
        );
      if (!found) throw new Error(`${file.name} is no page of a timeline; drop one that hydroscope has written.`);
      return decoded(found[1]);
    },
  };
}

/** Bytes of their text in base 64. @param {string} text */
export function decoded(text) {
  const modern = /** @type {any} */ (Uint8Array).fromBase64;
  if (modern) return /** @type {Uint8Array} */ (modern.call(Uint8Array, text));
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
