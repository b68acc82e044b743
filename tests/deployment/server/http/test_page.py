"""The search page's files: their headers, and what the browser may keep of them."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.http import page
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.servables.deadline import Deadline

FOLDER = Path(page.__file__).parent / "page_files"
PATHS = {"/": "search.html", **{f"/page/{path.name}": path.name for path in FOLDER.iterdir() if path.suffix != ".html"}}

NODE = shutil.which("node")
MAKE_HITS = """
class Element {
  children = []; attributes = {};
  constructor(name) { this.name = name; }
  append(...parts) { this.children.push(...parts); }
  prepend(...parts) { this.children.unshift(...parts); }
  set textContent(text) { this.children = text === "" ? [] : [text]; }
  get textContent() { return this.children.map((part) => part.textContent ?? part).join(""); }
  setAttribute(name, value) { this.attributes[name] = value; }
  addEventListener() {}
  find(name) {
    return this.children.flatMap((part) => (part instanceof Element ? [part, ...part.find(name)] : []))
      .filter((part) => name === "*" || part.name === name);
  }
}
Object.defineProperty(globalThis, "navigator", { value: { languages: ["en"] } });
globalThis.document = { createElement: (name) => new Element(name) };
const { makeHit } = await import("./hits.js");
const texts = (item, name) => item.find(name).map((part) => part.textContent);
console.log(JSON.stringify(JSON.parse(process.argv[2]).map(makeHit).map((item) => ({
  heading: texts(item, "h3"),
  id: item.find("span").filter((part) => part.className === "id").map((part) => part.textContent),
  passages: item.find("p").filter((part) => part.className === "passage").map((part) => part.textContent),
  marks: texts(item, "mark"),
  elements: [...new Set(item.find("*").map((part) => part.name))].sort(),
}))));
"""


def fall_back(method: str, target: str, headers: Mapping[str, str], body: bytes, _: Deadline | None) -> Answer:
    return Answer(404, (), b"")


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("key")
    made = Router(fall_back, keys=ApiKeys(keys))
    page.add_page(made)
    return made


@pytest.mark.parametrize("path", PATHS)
def test_each_file_of_the_folder_is_public_and_has_strict_headers(router: Router, path: str) -> None:
    answer = router.answer("GET", path, {}, b"")
    headers = dict(answer.headers)
    assert answer.status == 200
    assert answer.body == (FOLDER / PATHS[path]).read_bytes()
    kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
    assert headers["Content-Type"] == f"{kinds[Path(PATHS[path]).suffix]}; charset=utf-8"
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
def test_a_file_that_the_browser_has_is_not_sent_again(router: Router, form: str) -> None:
    etag = dict(router.answer("GET", "/", {}, b"").headers)["ETag"]
    answer = router.answer("GET", "/", {"if-none-match": form.format(etag)}, b"")
    assert (answer.status, answer.body, dict(answer.headers)["ETag"]) == (304, b"", etag)
    assert router.answer("GET", "/", {"if-none-match": '"x"'}, b"").status == 200


def test_a_query_is_part_of_the_pages_address(router: Router) -> None:
    assert router.answer("GET", "/?q=cat&model=docs", {}, b"").body == (FOLDER / "search.html").read_bytes()


def test_the_page_asks_for_nothing_from_elsewhere_and_has_nothing_inline() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import|url\(", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), path.name
    page_text = (FOLDER / "search.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page_text)


def make_hit(text: str, marks: list[list[int]], **more: Any) -> dict[str, Any]:
    return {"id": "x", "score": 0.5, "text": text, "highlights": [{"text": text, "start": 0, "marks": marks}], **more}


@pytest.mark.skipif(not NODE, reason="needs Node.js")
def test_a_hit_is_headed_by_its_title(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "run.js").write_text(MAKE_HITS)
    markup = "<img src=x> & 猫"
    hits = [
        make_hit("The cat\nsleeps.", [[4, 7]], title=markup),  # its own title, not the first line, which is shown
        make_hit("# Cats #1\n\nThe cat.", [[2, 6], [15, 18]], title="Cats #1"),  # the heading is in the text already
        make_hit("Cats", [[0, 4]], title="Cats"),  # a document of a title alone
        make_hit("Dogs\nA dog.", [[7, 10]], title=""),  # one without, beside others that have titles
        make_hit("A dog.", [[2, 5]]),  # of a version without titles
        {**make_hit("a dog", []), "thumbnail": "data:image/jpeg;base64,/9j/AA=="},  # a picture with its caption
        {**make_hit("a dog", []), "thumbnail": "data:image/svg+xml;base64,PHN2Zz4="},  # which may hold scripts
        {**make_hit("a dog", []), "thumbnail": "https://example.com/x.jpg"},
    ]
    assert NODE is not None
    run = subprocess.run(
        [NODE, "run.js", json.dumps(hits)], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    own, repeated, alone, without, old, picture, markup_picture, foreign = json.loads(run.stdout)
    assert "img" in picture["elements"]
    assert "img" not in [*markup_picture["elements"], *foreign["elements"]]
    assert (own["heading"], own["id"]) == ([markup], ["x"])
    assert (own["passages"], own["marks"]) == (["The cat\nsleeps."], ["cat"])
    assert own["elements"] == ["article", "div", "h3", "mark", "p", "span"]  # none of the title's
    assert (repeated["heading"], repeated["passages"], repeated["marks"]) == (["Cats #1"], ["The cat."], ["cat"])
    assert (alone["heading"], alone["passages"]) == (["Cats"], [])
    assert (without["heading"], without["passages"]) == (["Dogs"], ["A dog."])
    assert (old["heading"], old["passages"], old["id"]) == (["x"], ["A dog."], [])


def test_both_languages_have_the_same_words() -> None:
    text = (FOLDER / "words.js").read_text(encoding="utf-8")
    english, chinese = (re.findall(r"^    (\w+):", part, re.MULTILINE) for part in text.split("  zh: {"))
    assert len(english) > 20
    assert english == chinese
    used = set(re.findall(r'data-words="(\w+)"', (FOLDER / "search.html").read_text(encoding="utf-8")))
    assert used < set(english)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_enough_contrast() -> None:
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)  # WCAG's own example
    blocks = re.findall(r":root \{(.*?)\}", (FOLDER / "search.css").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+): (#\w{6});", block))
        for text in ("text", "quiet", "accent", "error"):
            assert min(contrast(colours[text], colours[ground]) for ground in ("page", "field")) >= 4.5, text
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
        assert contrast(colours["on-mark"], colours["mark"]) >= 4.5
        assert contrast(colours["edge"], colours["page"]) >= 3  # of a field's border
