// The page's words in English and Chinese, and the choice between them.

const WORDS = {
  en: {
    title: "Search",
    search: "Search",
    skip: "Skip to the results",
    model: "Model",
    results: "Results",
    placeholder: "Ask a question, or describe what you look for",
    key: "This server asks for an API key.",
    useKey: "Use this key",
    keyNote: "It stays in this tab until you close it, and is sent to this server alone.",
    keyWrong: "The server does not accept this key.",
    documents: (number) => count(number, "document"),
    start: "Type a question and press Enter. Arrow keys move between the hits, / goes back to the question.",
    searching: "Searching…",
    slow: "Still searching. The server may be busy.",
    found: (hits, time, model, version) => `${count(hits, "hit")} in ${time} · ${model}, version ${version}`,
    none: "No hits.",
    score: "score",
    whole: "Whole text",
    thumbs_up: "A good answer",
    thumbs_down: "Not an answer",
    noModel: "No model that searches is served here. Serve a search chain that documents were added to.",
    unreachable: "The server cannot be reached. Is it still running?",
    failed: (status) => `The server answered with status ${status}.`,
    pageTitle: (query) => (query ? `${query} – Search` : "Search"),
    other: "中文",
  },
  zh: {
    title: "搜索",
    search: "搜索",
    skip: "跳到结果",
    model: "模型",
    results: "结果",
    placeholder: "提一个问题，或描述要找的内容",
    key: "此服务器需要 API 密钥。",
    useKey: "使用此密钥",
    keyNote: "密钥只保存在此标签页中，关闭即删除，且只发送给此服务器。",
    keyWrong: "服务器不接受此密钥。",
    documents: (number) => `${number.toLocaleString("zh")} 篇文档`,
    start: "输入问题后按回车键。方向键在结果间移动，按 / 回到输入框。",
    searching: "正在搜索…",
    slow: "仍在搜索，服务器可能繁忙。",
    found: (hits, time, model, version) => `${hits} 条结果，用时 ${time} · ${model}，版本 ${version}`,
    none: "没有结果。",
    score: "得分",
    whole: "全文",
    thumbs_up: "有帮助",
    thumbs_down: "没有帮助",
    noModel: "这里没有可供搜索的模型。请部署一个已添加文档的搜索链。",
    unreachable: "无法连接服务器。它还在运行吗？",
    failed: (status) => `服务器返回状态 ${status}。`,
    pageTitle: (query) => (query ? `${query} – 搜索` : "搜索"),
    other: "English",
  },
};

const STORED = "tfchain.language";
let language = choose();

/** The words of the current language. */
export function words() {
  return WORDS[language];
}

/** Switches to the other language, and remembers it. */
export function switchLanguage() {
  language = language === "en" ? "zh" : "en";
  try {
    localStorage.setItem(STORED, language);
  } catch {
    // the browser stores nothing: the choice holds for this page
  }
}

/** Writes the words into the page: the text of each element with `data-words`, and what has words elsewhere. */
export function writeWords() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = words()[element.dataset.words];
  }
  document.getElementById("query").placeholder = words().placeholder;
  const other = document.getElementById("language");
  other.textContent = words().other;
  other.lang = language === "zh" ? "en" : "zh-CN";
}

/** Formats milliseconds. */
export function formatTime(milliseconds) {
  return milliseconds < 1000
    ? `${milliseconds.toPrecision(milliseconds < 10 ? 2 : 3).replace(/\.0+$/, "")} ms`
    : `${(milliseconds / 1000).toFixed(1)} s`;
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function choose() {
  let stored = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // the browser stores nothing
  }
  if (stored in WORDS) {
    return stored;
  }
  const wanted = navigator.languages.map((name) => name.slice(0, 2).toLowerCase());
  return wanted.find((name) => name in WORDS) ?? "en";
}
