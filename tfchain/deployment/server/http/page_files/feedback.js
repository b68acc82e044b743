// Feedback on hits: thumbs, and that a text was opened. Only where the server keeps a query log, which names each query.

import { readKey } from "./key.js";
import { words } from "./words.js";

const STORED = "tfchain.client";
const APPLICATION = "search-page";
const THUMB =
  "M5 7v6.5H2V7zM6.2 13.5V7l2.6-5.2c1 0 1.8.8 1.6 1.9L10 6h3c.9 0 1.5.8 1.3 1.6l-1.2 4.6c-.2.8-.8 1.3-1.6 1.3z";
const opened = new Set(); // what was told once is not told again when the page is drawn anew
const thumbs = new Map(); // query and hit → the thumb given

/** What a search says of this page, for the query log: a name of the tab that is made once the server keeps one. */
export function describeClient() {
  const client = stored();
  return { application: APPLICATION, ...(client === null ? {} : { client_id: client }) };
}

/** Adds thumbs to a hit's list item, and tells the server when its text is opened. */
export function addFeedback(item, hit, place, queryId) {
  if (queryId === undefined) {
    return item;
  }
  if (stored() === null) {
    store(crypto.randomUUID?.() ?? String(Math.random()).slice(2));
  }
  const article = item.querySelector("article");
  const key = `${queryId}/${hit.id}`;
  const about = { queryId, hit, place };
  const group = Object.assign(document.createElement("p"), { className: "thumbs" });
  const buttons = ["thumbs_up", "thumbs_down"].map((action) => makeThumb(action, key, about, () => buttons));
  group.append(...buttons);
  article.append(group);
  article.querySelector("details")?.addEventListener("toggle", (event) => {
    if (event.target.open && !opened.has(key)) {
      opened.add(key);
      tell("click", about);
    }
  });
  return item;
}

function makeThumb(action, key, about, all) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: `thumb ${action}` });
  button.title = words()[action];
  button.setAttribute("aria-label", words()[action]);
  button.setAttribute("aria-pressed", String(thumbs.get(key) === action));
  button.append(makeIcon());
  button.addEventListener("click", () => {
    if (thumbs.get(key) !== action) {
      thumbs.set(key, action);
      for (const one of all()) {
        one.setAttribute("aria-pressed", String(one === button));
      }
      tell(action, about);
    }
  });
  return button;
}

function makeIcon() {
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  icon.setAttribute("viewBox", "0 0 16 16");
  icon.setAttribute("aria-hidden", "true");
  path.setAttribute("d", THUMB);
  icon.append(path);
  return icon;
}

/** Sends an event; a page that is left still sends it, and nobody is told if it does not arrive. */
function tell(action, { queryId, hit, place }) {
  const event = {
    action_name: action,
    query_id: queryId,
    client_id: stored() ?? "",
    application: APPLICATION,
    timestamp: new Date().toISOString(),
    event_attributes: { object: { object_id: hit.id }, position: { ordinal: place + 1 } },
  };
  const key = readKey();
  const headers = { "Content-Type": "application/json", ...(key === null ? {} : { Authorization: `Bearer ${key}` }) };
  fetch("v1/feedback", { method: "POST", body: JSON.stringify(event), headers, keepalive: true }).catch(() => {});
}

function stored() {
  try {
    return sessionStorage.getItem(STORED);
  } catch {
    return null;
  }
}

function store(name) {
  try {
    sessionStorage.setItem(STORED, name);
  } catch {
    // the browser stores nothing: the page stays without a name
  }
}
