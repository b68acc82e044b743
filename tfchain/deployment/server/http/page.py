"""The search page: static files of the package, kept in memory and answered with ETag and strict security headers."""

import hashlib
from importlib import resources

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import Request, RouteHandler, Router

PAGE_FILES = {  # path → file and content type; the page names the others by relative paths, so a proxy may add a prefix
    "/": ("search.html", "text/html; charset=utf-8"),
    "/page/search.css": ("search.css", "text/css; charset=utf-8"),
    "/page/search.js": ("search.js", "text/javascript; charset=utf-8"),
    "/page/feedback.js": ("feedback.js", "text/javascript; charset=utf-8"),
    "/page/hits.js": ("hits.js", "text/javascript; charset=utf-8"),
    "/page/key.js": ("key.js", "text/javascript; charset=utf-8"),
    "/page/words.js": ("words.js", "text/javascript; charset=utf-8"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SECURITY = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def add_page(router: Router) -> None:
    """Adds `GET /`, the search page, and its files. They need no API key: the page asks for one when a search does.

    Args:
        router: The table to add to.
    """
    folder = resources.files("tfchain.deployment.server.http") / "page_files"
    for path, (name, kind) in PAGE_FILES.items():
        router.add("GET", path, _make_handler((folder / name).read_bytes(), kind), is_public=True)


def _make_handler(content: bytes, kind: str) -> RouteHandler:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = (("Content-Type", kind), ("ETag", etag), ("Cache-Control", "no-cache"), *_SECURITY)

    def answer(request: Request) -> Answer:
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if etag in known or "*" in known:
            return Answer(304, headers[1:], b"")
        return Answer(200, headers, content)

    return answer
