// The search page: the query in the address, the request, the answer, keys and errors.

import { addFeedback, describeClient } from "./feedback.js";
import { makeHit } from "./hits.js";
import { forgetKey, keepKey, readKey } from "./key.js";
import { formatTime, switchLanguage, words, writeWords } from "./words.js";

const SLOW_MILLISECONDS = 3000;

const find = (id) => document.getElementById(id);
const state = {
  asked: null, // the address that `answer` is for
  models: null,
  answer: null,
  error: null,
  running: null,
  isSlow: false,
  isKeyWrong: false,
  wait: null,
};

class AnswerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Asks the server; an answer other than 200 is an error with the server's own words. */
async function ask(path, options = {}) {
  const key = readKey();
  const headers = { "Content-Type": "application/json", ...(key === null ? {} : { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    throw error.name === "AbortError" ? error : new AnswerError(words().unreachable, 0);
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok || answer === null) {
    const said = answer?.error?.message ?? answer?.error;
    throw new AnswerError(typeof said === "string" ? said : words().failed(response.status), response.status);
  }
  return answer;
}

/** Reads which models search. */
async function loadModels(signal) {
  state.models = (await ask("v1/search/models", { signal })).models;
  const options = state.models.map(({ name }) => new Option(name, name));
  find("model").replaceChildren(...options);
}

/** Searches for what the address says. */
async function run() {
  state.running?.abort();
  const address = new URLSearchParams(location.search);
  const query = (address.get("q") ?? "").trim();
  find("query").value = query;
  const running = new AbortController();
  Object.assign(state, { asked: location.search, error: null, isSlow: false, isKeyWrong: false, running });
  clearTimeout(state.wait);
  state.wait = setTimeout(() => {
    if (state.running === running) {
      state.isSlow = true;
      show();
    }
  }, SLOW_MILLISECONDS);
  show();
  try {
    const answer = await search(query, address.get("model"), running.signal);
    if (state.running === running) {
      Object.assign(state, { answer, running: null });
      show();
    }
  } catch (error) {
    if (state.running === running) {
      fail(error);
    }
  }
}

/** Returns the answer to a query; null without a query, or without a model to ask. */
async function search(query, wanted, signal) {
  if (!state.models?.length) {
    await loadModels(signal);
  }
  const model = chosenModel(wanted);
  if (model === undefined) {
    return null;
  }
  find("model").value = model;
  const body = JSON.stringify({ query, model, thumbnails: true, ubi: describeClient() });
  return query ? ask("v1/search", { method: "POST", body, signal }) : null;
}

/** The model of the address if it is served, else the one that is chosen. */
function chosenModel(wanted) {
  const names = state.models.map(({ name }) => name);
  return names.includes(wanted) ? wanted : names.includes(find("model").value) ? find("model").value : names[0];
}

function fail(error) {
  const isKeyAsked = error.status === 401;
  state.isKeyWrong = isKeyAsked && readKey() !== null;
  if (isKeyAsked) {
    forgetKey();
  }
  Object.assign(state, { error, answer: null, running: null });
  show();
  if (isKeyAsked) {
    find("key").focus();
  }
}

/** Shows the state. */
function show() {
  writeWords();
  const { models, answer, error, running } = state;
  const isKeyAsked = error?.status === 401;
  const query = new URLSearchParams(location.search).get("q") ?? "";
  document.title = words().pageTitle(query);
  find("key-form").hidden = !isKeyAsked;
  find("error").textContent = isKeyAsked ? (state.isKeyWrong ? words().keyWrong : "") : (error?.message ?? "");
  const hasChoice = (models?.length ?? 0) > 1;
  const model = models?.find(({ name }) => name === find("model").value);
  const number = typeof model?.documents === "number" ? words().documents(model.documents) : "";
  find("model-choice").hidden = !hasChoice;
  find("served").textContent = [hasChoice ? "" : (model?.name ?? ""), number].filter(Boolean).join(" · ");
  find("hits").classList.toggle("old", running !== null);
  find("results").setAttribute("aria-busy", String(running !== null));
  find("status").textContent = describe(answer, error, running);
  if (running === null) {
    const { hits = [], query_id: queryId } = answer?.results[0] ?? {};
    const items = hits.map((hit, place) => addFeedback(makeHit(hit, place), hit, place, queryId));
    find("hits").replaceChildren(...items);
  }
}

function describe(answer, error, running) {
  if (running !== null) {
    return state.isSlow ? words().slow : words().searching;
  }
  if (error !== null || state.models === null) {
    return "";
  }
  if (state.models.length === 0) {
    return words().noModel;
  }
  if (answer === null) {
    return words().start;
  }
  const hits = answer.results[0].hits.length;
  const found = words().found(hits, formatTime(answer.took_ms), answer.model, answer.version);
  return hits ? found : `${words().none} ${found}`;
}

/** Writes query and model into the address, as a new step of the history if they have changed. */
function go(query) {
  const address = new URLSearchParams({ q: query });
  if ((state.models?.length ?? 0) > 1) {
    address.set("model", find("model").value);
  }
  if (`?${address}` !== location.search) {
    history.pushState(null, "", `?${address}`);
  }
  run();
}

/** Moves the focus among the hits by arrow keys. */
function move(event) {
  const hits = [...document.querySelectorAll("#hits article")];
  const current = hits.indexOf(document.activeElement.closest("article"));
  const isInQuery = document.activeElement === find("query");
  if (event.key === "/" && !document.activeElement.matches("input, select")) {
    find("query").focus();
    find("query").select();
  } else if (event.key === "Escape" && current >= 0) {
    find("query").focus();
  } else if (event.key === "ArrowDown" && hits.length && (isInQuery || current >= 0)) {
    hits[Math.min(current + 1, hits.length - 1)].focus();
  } else if (event.key === "ArrowUp" && current >= 0) {
    (hits[current - 1] ?? find("query")).focus();
  } else if (event.key === "Enter" && document.activeElement === hits[current]) {
    const details = hits[current].querySelector("details");
    if (details !== null) {
      details.open = !details.open;
    }
  } else {
    return;
  }
  event.preventDefault();
}

find("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = find("query").value.trim();
  if (query) {
    go(query);
  }
});
find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey(find("key").value);
  find("key").value = "";
  find("query").focus();
  run();
});
find("model").addEventListener("change", () => {
  const query = find("query").value.trim();
  return query ? go(query) : show();
});
find("language").addEventListener("click", () => {
  switchLanguage();
  show();
});
addEventListener("popstate", () => {
  if (location.search !== state.asked) {
    run(); // and not for the link that skips to the results
  }
});
addEventListener("keydown", (event) => {
  if (!event.isComposing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    move(event);
  }
});
writeWords();
run();
