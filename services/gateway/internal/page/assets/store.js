// The list of conversions, which this browser keeps and all its tabs share.

const key = "docmill.jobs";
const limit = 1000; // entries of about 200 bytes; browsers allow 5 MiB

/**
 * An entry is {key, batch, index, name, size, family, to, options, secrets} and, once known, the id of its job or the problem of a submission
 * that was refused. It never has a password: `secrets` are only the names of the passwords that were given.
 */
export function load() {
  try {
    const entries = JSON.parse(localStorage.getItem(key) || "[]");
    return Array.isArray(entries) ? entries.filter((e) => e && typeof e.key === "string" && typeof e.name === "string") : [];
  } catch {
    return []; // unreadable, or the browser forbids storage
  }
}

function save(entries) {
  try {
    localStorage.setItem(key, JSON.stringify(entries.slice(-limit)));
  } catch {
    // Forbidden or full: the list then lives as long as the page.
  }
}

/** Adds or replaces an entry. The others are read again, because another tab may have changed them. */
export function put(entry) {
  const entries = load();
  const i = entries.findIndex((e) => e.key === entry.key);
  if (i >= 0) entries[i] = entry;
  else entries.push(entry);
  save(entries);
}

export function remove(keys) {
  save(load().filter((e) => !keys.has(e.key)));
}

/** Calls back when another tab has changed the list. */
export function onChange(callback) {
  addEventListener("storage", (e) => {
    if (e.key === key || e.key === null) callback(load());
  });
}

/** A new key. randomUUID exists only on HTTPS and localhost. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("");
