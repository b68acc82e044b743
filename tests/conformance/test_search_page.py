"""The search page in a headless Chromium: what people see, type and hear. Skipped where there is no Chromium."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, DOWN, DRIVER, ENTER, ESCAPE, UP, Browser
from tests.deployment.server.observing.test_watch import Memory
from tests.search_server import make_router, serve_http, serve_models, write_version
from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.http.openapi import ApiDocument
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, Router
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.text.feedback import add_feedback

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium and its driver (Debian: chromium, chromium-driver)"
)
FILLER = "Nothing of interest is said in this sentence. " * 8
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'><b>cat</b> &amp; {{7*7}}"
DOCUMENTS = {
    "cats": f"# All about cats\n\n{FILLER}The 😀 cat sleeps on the mat. {FILLER}",
    "dogs.txt": "A dog runs after nothing.",
    "hostile": f"{HOSTILE}\n{HOSTILE}",
    "zh": "清华大学\n清华大学位于北京市海淀区，有很多猫。",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page")
    write_version(made / "docs" / "3", DOCUMENTS, top_k=10)
    write_version(made / "animals" / "12", {"owl": "The owl is no cat."}, top_k=10)
    write_version(made / "encoder" / "1", {})
    (made / "keys").write_text("right-key\n")
    return made


@pytest.fixture(scope="module")
def manager(folder: Path) -> Iterator[Manager]:
    with serve_models({"docs": {3: folder / "docs" / "3"}}) as made:
        yield made


@pytest.fixture(scope="module")
def router(manager: Manager) -> Router:
    return make_router(manager)


@pytest.fixture(scope="module")
def url(router: Router) -> Iterator[str]:
    with serve_http(router) as address:
        yield address


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(started: Browser) -> Iterator[Browser]:
    """The browser; afterwards nothing was reported by its console, and no policy was violated."""
    started.emulate()
    started.log()
    yield started
    assert started.log() == []


def settle(browser: Browser) -> None:
    """Waits until the page has its answer."""
    done = "return document.getElementById('results').getAttribute('aria-busy') === 'false'"
    browser.wait(lambda: browser.run(done))


def ask(browser: Browser, query: str) -> None:
    """Types a query in place of what is there, and presses Enter."""
    browser.run("const box = document.getElementById('query'); box.focus(); box.select()")
    browser.type(query + ENTER)
    wanted = "return new URLSearchParams(location.search).get('q')"
    browser.wait(lambda: browser.run(wanted) == query)
    settle(browser)


def shown(browser: Browser) -> list[dict[str, Any]]:
    """The hits, as they are shown."""
    return browser.run(
        """return [...document.querySelectorAll("#hits article")].map((hit) => ({
             title: hit.querySelector("h3").innerText,
             facts: hit.querySelector(".facts").textContent,
             passages: [...hit.querySelectorAll(".passage")].map((passage) => passage.innerText),
             marks: [...hit.querySelectorAll("mark")].map((mark) => mark.innerText),
           }))"""
    )


def focused(browser: Browser) -> str:
    """The id of what has the focus, or the heading of the hit that has it."""
    return browser.run("const at = document.activeElement; return at.id || at.querySelector('h3')?.innerText || ''")


def test_a_query_is_typed_and_its_hits_appear(browser: Browser, url: str) -> None:
    browser.open(url)
    settle(browser)
    assert focused(browser) == "query"
    assert browser.text("#served") == "docs · 4 documents"
    assert browser.text("#status").startswith("Type a question and press Enter.")
    browser.type("cat sleep" + ENTER)
    hits = browser.wait(lambda: shown(browser))
    assert [hit["title"] for hit in hits] == ["All about cats", HOSTILE, "dogs.txt", "清华大学"]
    assert hits[0]["marks"] == ["cat", "sleeps"]
    assert hits[0]["passages"][0].startswith("…\u00a0The 😀 cat sleeps on the mat. Nothing of")
    assert hits[0]["facts"] == "catsscore 1.000"
    dog = next(hit for hit in hits if hit["title"] == "dogs.txt")
    assert (dog["facts"], dog["passages"]) == ("score 0.000", ["A dog runs after nothing."])
    status = browser.text("#status")
    assert status.startswith("4 hits in ")
    assert status.endswith(" ms · docs, version 3")
    assert browser.run("return [location.search, document.title]") == ["?q=cat+sleep", "cat sleep – Search"]


def test_hits_are_walked_and_opened_by_the_keyboard(browser: Browser, url: str) -> None:
    browser.open(f"{url}/?q=cat")
    settle(browser)
    places = []
    for key in (DOWN, DOWN, DOWN, UP, UP, UP, DOWN):
        browser.type(key)
        places.append(focused(browser))
    titles = [hit["title"] for hit in shown(browser)]
    assert places == [titles[0], titles[1], titles[2], titles[1], titles[0], "query", titles[0]]
    browser.type(ENTER)
    assert browser.wait(lambda: browser.text(".whole")) == DOCUMENTS["cats"]
    browser.type(ENTER)
    assert browser.wait(lambda: not browser.text(".whole"))
    browser.type("/")
    assert focused(browser) == "query"
    browser.type("dog/" + DOWN + ESCAPE)  # in the box, a slash is a slash
    assert browser.run("return document.getElementById('query').value") == "dog/"


def test_a_link_searches_and_the_back_button_returns(browser: Browser, url: str) -> None:
    browser.open(f"{url}/?q=dog")
    settle(browser)
    assert shown(browser)[0]["title"] == "dogs.txt"
    ask(browser, "北京 大学")
    assert shown(browser)[0]["title"] == "清华大学"
    assert "北京" in shown(browser)[0]["marks"]
    browser.back()
    browser.wait(lambda: shown(browser)[0]["title"] == "dogs.txt")
    assert browser.run("return document.getElementById('query').value") == "dog"


def test_the_link_to_the_results_does_not_search_again(browser: Browser, url: str) -> None:
    browser.open(f"{url}/?q=cat")
    settle(browser)
    asked = (
        "return performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/v1/search')).length"
    )
    assert browser.run(asked) == 1
    browser.click("#hits summary")
    browser.run("document.querySelector('.skip').click()")
    browser.wait(lambda: browser.run("return location.hash") == "#results")
    assert focused(browser) == "results"
    assert (browser.run(asked), browser.text(".whole")) == (1, DOCUMENTS["cats"])


def test_what_a_document_holds_is_text(browser: Browser, url: str) -> None:
    browser.open(f"{url}/?q=hacked")
    settle(browser)
    (hit,) = [hit for hit in shown(browser) if "hacked" in hit["marks"]]
    assert hit["title"] == HOSTILE
    assert hit["passages"] == [HOSTILE]
    assert browser.run("return document.querySelectorAll('main img, main script, main b').length") == 0
    assert browser.run("return window.hacked ?? null") is None
    browser.open(f"{url}/?q=<img src=x onerror=alert(1)>".replace(" ", "+"))
    settle(browser)
    assert browser.run("return document.querySelectorAll('img').length") == 0


def test_the_page_speaks_the_browsers_language_and_switches(browser: Browser, url: str) -> None:
    browser.emulate(language="zh-CN,zh")
    browser.open(f"{url}/?q=北京的大学")
    settle(browser)
    assert browser.run("return document.documentElement.lang") == "zh-CN"
    assert browser.text("button[type=submit]") == "搜索"
    assert browser.text("#status").startswith("4 条结果，用时 ")
    assert browser.run("return document.title") == "北京的大学 – 搜索"
    (university,) = [hit for hit in shown(browser) if hit["title"] == "清华大学"]
    assert university["marks"] == ["大学", "北京"]
    browser.click("#language")
    assert browser.text("#status").startswith("4 hits in ")
    browser.open(url)
    settle(browser)
    assert browser.run("return document.documentElement.lang") == "en"  # the choice is remembered
    browser.run("localStorage.clear()")


def test_the_page_is_dark_where_the_system_is_and_fits_a_phone(browser: Browser, url: str) -> None:
    colours = []
    for is_dark in (False, True):
        browser.emulate(size=(390, 844), is_dark=is_dark)
        browser.open(f"{url}/?q=cat")
        settle(browser)
        colours.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
        assert browser.run("return document.documentElement.scrollWidth") <= 390
    assert colours == ["rgb(252, 252, 250)", "rgb(21, 23, 26)"]


def test_a_screen_reader_finds_landmarks_and_names(browser: Browser, url: str) -> None:
    browser.open(f"{url}/?q=cat")
    settle(browser)
    found = browser.accessible()
    assert {"banner", "main", "search", "region", "status"} <= {role for role, _ in found}
    assert ("searchbox", "Search") in found
    assert ("region", "Results") in found
    assert ("article", "All about cats") in found
    assert all(name for role, name in found if role in ("button", "searchbox", "heading", "article", "link"))
    assert browser.run("return document.querySelector('#error').getAttribute('role')") == "alert"


def test_a_model_is_chosen_where_several_are_served(browser: Browser, folder: Path) -> None:
    models = {"docs": {3: folder / "docs" / "3"}, "animals": {12: folder / "animals" / "12"}}
    models["encoder"] = {1: folder / "encoder" / "1"}
    with serve_models(models) as manager, serve_http(make_router(manager)) as url:
        browser.open(f"{url}/?q=cat&model=docs")
        settle(browser)
        assert browser.run("return [...document.querySelectorAll('option')].map((one) => one.value)") == [
            "animals",
            "docs",
        ]
        assert browser.text("#status").endswith("docs, version 3")
        choose = "const box = document.getElementById('model'); box.value = 'animals'; "
        browser.run(choose + "box.dispatchEvent(new Event('change'))")
        browser.wait(lambda: browser.text("#status").endswith("animals, version 12"))
        assert browser.run("return location.search") == "?q=cat&model=animals"
        assert [hit["title"] for hit in shown(browser)] == ["owl"]
        browser.back()
        browser.wait(lambda: browser.text("#status").endswith("docs, version 3"))


def test_a_key_is_asked_for_and_kept_for_the_tab_alone(started: Browser, manager: Manager, folder: Path) -> None:
    router = make_router(manager, ApiKeys(folder / "keys"))
    with serve_http(router) as url:
        started.emulate()
        started.open(f"{url}/?q=cat")
        settle(started)
        assert focused(started) == "key"
        assert started.text("#key-form label") == "This server asks for an API key."
        assert (started.text("#error"), shown(started)) == ("", [])
        started.type("wrong-key" + ENTER)
        started.wait(lambda: started.text("#error") == "The server does not accept this key.")
        started.type("right-key" + ENTER)
        started.wait(lambda: shown(started))
        assert started.run("return document.getElementById('key-form').hidden")
        assert started.run("return [JSON.stringify(localStorage), document.cookie]") == ["{}", ""]
        assert json.loads(started.run("return JSON.stringify(sessionStorage)")) == {"tfchain.key": "right-key"}
        started.open(f"{url}/?q=dog")
        started.wait(lambda: shown(started))
    assert all("401" in line for line in started.log())


def test_a_server_without_a_model_that_searches_says_so(browser: Browser, folder: Path) -> None:
    models = {"encoder": {1: folder / "encoder" / "1"}}
    with serve_models(models) as manager, serve_http(make_router(manager)) as url:
        browser.open(f"{url}/?q=cat")
        settle(browser)
        assert browser.text("#status").startswith("No model that searches is served here.")


def test_thumbs_and_opened_texts_are_told_where_the_server_keeps_a_log(started: Browser, manager: Manager) -> None:
    memory = Memory()
    with Watch(memory, Registry()) as watch:
        router = make_router(manager, watch=watch)
        add_feedback(router, watch, ApiDocument("1"))
        with serve_http(router) as url:
            started.emulate()
            started.log()
            started.open(f"{url}/?q=cat")
            settle(started)
            started.click("#hits summary")
            started.click("#hits summary")
            started.click("#hits summary")  # opened twice, told once
            started.click("#hits li:nth-child(2) .thumbs_up")
            started.click("#hits li:nth-child(2) .thumbs_down")
            started.click("#hits li:nth-child(2) .thumbs_down")
            pressed = "return [...document.querySelectorAll('.thumb')].map((one) => one.getAttribute('aria-pressed'))"
            assert started.run(pressed)[:4] == ["false", "false", "false", "true"]
            started.click("#language")
            assert started.run(pressed)[:4] == ["false", "false", "false", "true"]
            assert ("button", "没有帮助") in started.accessible()
            started.run("localStorage.clear()")
            started.wait(lambda: len(memory.events) == 3)
            ask(started, "dog")
            started.wait(lambda: len(memory.observations) == 2)
            first, second = memory.observations
            name = started.run("return sessionStorage.getItem('tfchain.client')")
    hits = first.ids
    assert [(event.action, event.object_id, event.position) for event in memory.events] == [
        ("click", hits[0], 1),
        ("thumbs_up", hits[1], 2),
        ("thumbs_down", hits[1], 2),
    ]
    assert {event.query_id for event in memory.events} == {first.query_id}
    assert {event.client_id for event in memory.events} == {name}
    assert (first.client_id, second.client_id) == ("", name)
    assert first.attributes["application"] == "search-page"
    assert started.log() == []


def test_errors_and_slow_answers_are_told(started: Browser, manager: Manager) -> None:
    router = make_router(manager)
    search: Callable[[Request], Answer] = router._routes["/v1/search"]["POST"].handle
    held = threading.Event()

    def wait(request: Request) -> Answer:
        held.wait(20)
        return search(request)

    started.emulate()
    with serve_http(router) as url:
        router.add("POST", "/v1/search", wait)
        started.open(f"{url}/?q=cat")
        started.wait(lambda: started.text("#status") == "Searching…")
        started.wait(lambda: started.text("#status") == "Still searching. The server may be busy.")
        held.set()
        started.wait(lambda: shown(started))
        router.add("POST", "/v1/search", lambda _: Answer(500, (), b"<h1>broken</h1>"))
        ask(started, "dog")
        assert (started.text("#error"), shown(started)) == ("The server answered with status 500.", [])
        router.add("POST", "/v1/search", lambda _: Answer(400, (), b'{"error": {"message": "No <b>such</b> thing."}}'))
        ask(started, "owl")
        assert started.text("#error") == "No <b>such</b> thing."
        router.add("POST", "/v1/search", search)
        ask(started, "cat")
        assert (started.text("#error"), len(shown(started))) == ("", 4)
    ask(started, "gone")
    assert started.text("#error") == "The server cannot be reached. Is it still running?"
    assert len(started.log()) == 3  # the three answers that failed
