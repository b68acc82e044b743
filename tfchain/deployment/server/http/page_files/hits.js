// Shows hits. What a document holds is text, never markup: everything goes through textContent.

import { words } from "./words.js";

const LONGEST_TITLE = 120;
const THUMBNAIL = /^data:image\/jpeg;base64,[A-Za-z0-9+/]+=*$/; // and nothing that a browser would run

/** Makes the list item of a hit. */
export function makeHit(hit, number) {
  const article = make("article", { tabIndex: -1 });
  const title = findTitle(hit);
  const heading = make("h3", { id: `hit-${number}` }, title.text);
  article.setAttribute("aria-labelledby", heading.id);
  const facts = make("p", { className: "facts" });
  if (title.text !== hit.id) {
    facts.append(make("span", { className: "id" }, hit.id));
  }
  const score = make("span", { className: "score" }, hit.score.toFixed(3));
  score.prepend(make("span", { className: "hidden" }, `${words().score} `));
  score.title = words().score;
  facts.append(score);
  const head = make("div", { className: "head" });
  head.append(heading, facts);
  article.append(head, ...makeThumbnail(hit), ...makePassages(hit, title.length));
  if (isCut(hit)) {
    article.append(makeWhole(hit.text));
  }
  const item = make("li");
  item.append(article);
  return item;
}

/** Makes the picture of a hit that is one. */
function makeThumbnail(hit) {
  const isPicture = typeof hit.thumbnail === "string" && THUMBNAIL.test(hit.thumbnail);
  return isPicture ? [make("img", { className: "thumbnail", src: hit.thumbnail, alt: hit.text || hit.id })] : [];
}

/** Returns the heading of a hit, and how much of its text the heading shows: the document's title, else the first line
 * of a text of several lines, else the id. */
export function findTitle(hit) {
  const [line, rest] = [hit.text.split("\n", 1)[0], hit.text.slice(hit.text.indexOf("\n") + 1)];
  const title = line.replace(/^#+\s*/, "").trim();
  const given = (hit.title ?? "").trim();
  if (given) {
    const isRepeated = title === given; // as the heading of a Markdown file, and where a document is its title alone
    return { text: given, length: isRepeated ? [...line].length + 1 : 0 };
  }
  if (title && title.length <= LONGEST_TITLE && hit.text.includes("\n") && rest.trim()) {
    return { text: title, length: [...line].length + 1 };
  }
  return { text: hit.id, length: 0 };
}

/** Makes a paragraph of each passage. Places are code points, which a JavaScript string does not count. */
function makePassages(hit, titleLength) {
  const textLength = [...hit.text.trimEnd()].length;
  return (hit.highlights ?? []).flatMap((highlight) => {
    const characters = [...highlight.text];
    let first = Math.min(Math.max(titleLength - highlight.start, 0), characters.length);
    while (first < characters.length && !characters[first].trim()) {
      first += 1;
    }
    if (first === characters.length) {
      return []; // the heading shows it already
    }
    const paragraph = make("p", { className: "passage" });
    paragraph.append(highlight.start > titleLength ? "…\u00a0" : "");
    for (const [start, end] of highlight.marks.filter(([start]) => start >= first)) {
      paragraph.append(characters.slice(first, start).join(""), make("mark", {}, characters.slice(start, end).join("")));
      first = end;
    }
    paragraph.append(characters.slice(first).join(""));
    paragraph.append(highlight.start + characters.length < textLength ? "\u00a0…" : "");
    return [paragraph];
  });
}

function isCut(hit) {
  const shown = (hit.highlights ?? []).reduce((sum, highlight) => sum + highlight.text.length, 0);
  return shown < hit.text.trim().length;
}

function makeWhole(text) {
  const details = make("details");
  const body = make("div", { className: "whole" });
  details.append(make("summary", {}, words().whole), body);
  details.addEventListener("toggle", () => {
    body.textContent = details.open ? text : ""; // a hundred long documents are not laid out before someone asks
  });
  return details;
}

function make(name, values = {}, text = "") {
  const element = Object.assign(document.createElement(name), values);
  element.textContent = text;
  return element;
}
