// The API key: kept in sessionStorage alone, which ends with the tab.

const STORED = "tfchain.key";
let key = null; // for browsers that store nothing

/** Returns the key, or null without one. */
export function readKey() {
  try {
    return sessionStorage.getItem(STORED) ?? key;
  } catch {
    return key;
  }
}

/** Keeps a key. */
export function keepKey(text) {
  key = text.trim();
  try {
    sessionStorage.setItem(STORED, key);
  } catch {
    // the key holds for this page
  }
}

/** Forgets the key. */
export function forgetKey() {
  key = null;
  try {
    sessionStorage.removeItem(STORED);
  } catch {
    // there is none
  }
}
