// Making elements, and keeping a list of them in step with what it shows. Text goes into text nodes only.

/** An element with properties; `data` and `aria` (its label) apart. */
export function el(tag, props = {}, ...children) {
  const { data, aria, ...rest } = props;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, data);
  if (aria) node.setAttribute('aria-label', aria);
  node.append(...children.filter(Boolean));
  return node;
}

/** Makes the children of `list` those of `items`; what looks the same stays the same element. */
export function sync(list, items, keyOf, looksOf, make) {
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const focused = document.activeElement?.closest('[data-key]')?.dataset.key;
  let at = list.firstElementChild;
  for (const item of items) {
    const [key, looks] = [keyOf(item), looksOf(item)];
    const look = JSON.stringify(looks);
    let node = old.get(key);
    old.delete(key);
    if (node?.dataset.look !== look) {
      const fresh = make(looks, item);
      Object.assign(fresh.dataset, { key, look });
      if (node === at) at = node?.nextElementSibling ?? null;
      node?.remove();
      node = fresh;
    }
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
    if (key === focused && !list.contains(document.activeElement)) node.querySelector('a, summary, button')?.focus();
  }
  for (const node of old.values()) node.remove();
}
