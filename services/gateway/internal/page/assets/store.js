// The list of conversions, which this browser keeps and all its tabs share. Each entry has a key of its own: tabs write at
// the same time, and localStorage has no locks.

const prefix = "docmill.job.";

/** How many entries to keep. They have about 300 bytes; browsers allow 5 MiB. */
export const limit = 1000;

function read(key) {
  try {
    const entry = JSON.parse(localStorage.getItem(key));
    return entry && prefix + entry.key === key && typeof entry.name === "string" ? entry : undefined;
  } catch {
    return undefined; // unreadable
  }
}

/**
 * An entry is {key, batch, index, name, size, family, to, options, secrets, submission} and, once known, the id of its job, how many times
 * that was retried, or the problem of a submission that was refused. `submission` is the Idempotency-Key with which the document is uploaded.
 * An entry never has a password: `secrets` are only the names of the passwords that were given.
 */
export function load() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix)).map(read).filter(Boolean);
  } catch {
    return []; // the browser forbids storage
  }
}

/** Adds or replaces an entry. Returns whether the browser keeps it: storage may be forbidden or full. */
export function put(entry) {
  try {
    localStorage.setItem(prefix + entry.key, JSON.stringify(entry));
    return true;
  } catch {
    return false;
  }
}

export function remove(key) {
  try {
    localStorage.removeItem(prefix + key);
  } catch {
    // The browser forbids storage, so there is nothing to remove.
  }
}

/** Calls back with the key and the entry that another tab has put, or without an entry if that tab has removed it. */
export function onChange(callback) {
  addEventListener("storage", (e) => {
    if (!e.key?.startsWith(prefix)) return;
    const entry = read(e.key); // the event may be late
    if (entry || e.newValue === null) callback(e.key.slice(prefix.length), entry);
  });
}

/** A new key. randomUUID exists only on HTTPS and localhost. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("");
