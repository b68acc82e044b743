"""The embedded server's JSON parser beside python-rapidjson: time on predict bodies, and what they say of bad ones.

Run: PYTHONPATH=. PYTHON benchmarks/json_parsers.py [--turns 5], where PYTHON has python-rapidjson and not TensorFlow.
Stock TensorFlow Serving parses with rapidjson itself, so the question is whether a binding gives its answers faster.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any

import rapidjson

from tfchain.deployment.server.json.parser import parse_json
from tfchain.deployment.server.status import StatusError

SECONDS = 0.2  # of one measurement
ODD = (
    *(b"", b"  ", b"abc", b"nul", b"[tru]", b"[1,]", b"[1 2]", b"[01]", b"[1", b"{1: 2}", b'{"a" 1}', b'{"a": 1 "b"}'),
    *(
        b'{"a": 1,}',
        b'["abc',
        b'["a\nb"]',
        b'["a\\x"]',
        b'["\\u12g4"]',
        b'["\\ud800"]',
        b'["\\udc80"]',
        b"[1.]",
        b"[1e]",
    ),
    *(b"[-]", b"[-Infinitx]", b"[1e999]", b"[NaN, Infinity, -Inf]", b"\xef\xbb\xbf[1]", b'"\xff"', b"[] trailing"),
    *(b'{"a": 1, "a": 2}', b"[18446744073709551616]", b"[1e-999]", b"[-0]", b"[" * 100_000),
)  # most are cases of tests/deployment/server/json/test_parser.py


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    print(
        f"Python {sys.version.split()[0]}, python-rapidjson {rapidjson.__version__}; µs, medians of {options.turns}\n"
    )
    print("| body | bytes | tfchain | rapidjson | ratio |\n| --- | --- | --- | --- | --- |")
    for name, body in make_bodies().items():
        turns = [[measure(parse, body) for parse in (parse_json, load)] for _ in range(options.turns)]
        own, other = (statistics.median(times) for times in zip(*turns, strict=True))
        print(f"| {name} | {len(body)} | {own:.1f} | {other:.1f} | {own / other:.2f} |")
    rows = [(body, describe(parse_json, body), describe(load, body)) for body in ODD]
    differing = [row for row in rows if row[1] != row[2]]
    print(f"\n{len(ODD)} odd bodies, {len(differing)} with another answer:\n")
    for body, own, other in differing:
        print(f"- `{body[:30]!r}`: {own} | {other}")


def make_bodies() -> dict[str, bytes]:
    """Predict bodies as clients send them, and a broken one."""
    random = Random(1)
    words = ["search", "merge", "sorted", "lists", "clinical", "protein", "你好", "café", 'quoted "word"', "of"]

    def text() -> str:
        return " ".join(random.choices(words, k=12))

    def vector() -> list[float]:
        return [random.gauss(0, 0.05) for _ in range(384)]

    texts = {"instances": [text() for _ in range(64)]}
    return {
        "one text": json.dumps({"instances": [{"text": text()}]}).encode(),
        "one text, as UTF-8": json.dumps({"instances": [{"text": text()}]}, ensure_ascii=False).encode(),
        "64 texts": json.dumps(texts).encode(),
        "64 lists of 32 token ids": json.dumps(
            {"instances": [{"token_ids": [random.randrange(30_000) for _ in range(32)]} for _ in range(64)]}
        ).encode(),
        "one vector of 384": json.dumps({"inputs": {"x": [vector()]}}).encode(),
        "64 vectors of 384": json.dumps({"inputs": {"x": [vector() for _ in range(64)]}}).encode(),
        "64 texts, broken at the end": json.dumps(texts).encode()[:-2] + b",]",
    }


def measure(parse: Callable[[bytes], Any], body: bytes) -> float:
    """Returns the microseconds of a call."""
    calls, begin = 0, time.perf_counter()
    while (taken := time.perf_counter() - begin) < SECONDS:
        for _ in range(10):
            try:
                parse(body)
            except (StatusError, ValueError):
                continue
        calls += 10
    return 1e6 * taken / calls


def load(body: bytes) -> Any:
    """Parses with python-rapidjson, which has no other options that bring it nearer to TensorFlow Serving's."""
    return rapidjson.loads(body, number_mode=rapidjson.NM_NAN | rapidjson.NM_NATIVE)


def describe(parse: Callable[[bytes], Any], body: bytes) -> str:
    """Returns the value, or the error as its text and offset."""
    try:
        value = parse(body)
    except StatusError as error:
        return error.message.removeprefix("JSON Parse error: ")
    except rapidjson.JSONDecodeError as error:  # "Parse error at offset 3: Invalid value."
        place, _, text = str(error).partition(": ")
        return f"{text} at offset: {place.rpartition(' ')[2]}"
    except (UnicodeDecodeError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"
    return repr(value) if not isinstance(value, float) or not math.isnan(value) else "nan"


if __name__ == "__main__":
    main()
