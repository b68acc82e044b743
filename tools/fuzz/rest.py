"""Odd REST requests: targets, headers and JSON bodies, and the rules that every answer keeps."""

import gzip
import json
from random import Random

from tfchain.deployment.server.http.rest import Answer, RestApi
from tools.fuzz.mutation import mutate
from tools.fuzz.outcomes import Fault

Request = tuple[str, str, dict[str, str], bytes]
Models = dict[str, dict[str, dict[str, int]]]  # model → signature → input → data type

_NUMBERS = (
    *("0", "-0", "1", "1.5", "-1", "1e308", "1e309", "-1e400", "1e-400", "3e38", "4e38", "2147483648", "-2147483649"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "9" * 40),
    *("9" * 308, "9" * 310, "1" * 5000, "0." + "1" * 5000, "1e99999999999", "NaN", "Infinity", "-Infinity", "Inf"),
    *("-NaN", "01", "1.", ".5", "+1", "1e", "0x10", "1_000"),
)
_STRINGS = (
    *(
        '""',
        '"a"',
        '"\\u0000"',
        '"\\ud800"',
        '"\\ud83d\\ude00"',
        '"\\udc00\\ud800"',
        '"\u202e\ufeff\U0001f600"',
        '"\x7f"',
    ),
    *('"\\x"', '"\t"', '"' + "é" * 300 + '"', '{"b64": "aGk="}', '{"b64": "a"}', '{"b64": "====="}', '{"b64": 1}'),
    *('{"b64": "é"}', '{"b64": "aGk=", "x": 1}', '{"b64": ""}'),
)
_WORDS = ("null", "true", "false", "nul", "[]", "{}", "", '"', "//x", "/**/")
_TOKENS = tuple(map(str.encode, (*_NUMBERS[:20], *_STRINGS, *_WORDS, "[", "]", "{", "}", ",", ":", "instances", "b64")))
_FIELDS = ("x", "a", "b", "text", "words", "ints", "floats", "steps", "é", "", "\\u0000", "b64", "y" * 300)


def make_request(random: Random, models: Models) -> Request:
    """Makes a request.

    Args:
        random: The source of chance.
        models: The models, with signatures that they have and some that they lack.
    """
    model = random.choice((*models, "hpt", "hpt", "graph"))
    is_examples = any("inputs" in inputs for inputs in models[model].values())
    verb = random.choice(("classify", "regress", "predict") if is_examples else ("predict",) * 9 + ("classify",))
    method, target = "POST", f"/v1/models/{model}:{verb}"
    if random.random() < 0.2:
        method, target = make_target(random, model, verb)
    signature = random.choice(list(models[model]))
    body = make_body(random, verb, signature, models[model][signature])
    headers: dict[str, str] = {}
    if random.random() < 0.05:
        headers["content-encoding"] = random.choice(("gzip", "x-gzip, deflate", "br"))
        body = gzip.compress(body) if random.random() < 0.7 else body
        body = mutate(random, body) if random.random() < 0.3 else body
    if method == "OPTIONS":
        headers["origin"] = random.choice(("http://a", "null", "é"))
    return method, target, headers, body


def make_target(random: Random, model: str, verb: str) -> tuple[str, str]:
    """Makes a method and a target, mostly wrong ones."""
    numbers = ("123", "0", "-1", "00123", "9" * 19, "9" * 30, "9" * 6000, "1.0", "٣", "%31", "")
    names = (model, model.upper(), "nope", "%", "%2", "%zz", "%00", "%ff%fe", "a%2Fb", "..", "é", "a" * 5000, "")
    middle = random.choice(
        ("", f"/versions/{random.choice(numbers)}", f"/labels/{random.choice(names)}", "/versions/1/labels/a", "//")
    )
    end = random.choice(("", f":{verb}", ":PREDICT", ":", "/metadata", "/metadata/", "?a=b", "#x", ":predict:predict"))
    start = random.choice(("/v1/models/", "/V1/MODELS/", "/v1/models", "/v1//models/", "/v2/models/", "v1", "*", ""))
    target = start + random.choice(names) + middle + end
    if random.random() < 0.3:
        target = mutate(random, target.encode()).decode("latin-1").replace("\n", "").replace("\r", "")
    return random.choice(("GET", "POST", "GET", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "QUERY")), target


def make_body(random: Random, verb: str, signature: str, inputs: dict[str, int]) -> bytes:
    """Makes a body: right, nearly right, of random values, or of random bytes."""
    if random.random() < 0.03:
        return random.randbytes(random.randint(0, 200))
    if random.random() < 0.02:
        return make_nested(random)
    key = "examples" if verb in ("classify", "regress") else random.choice(("instances", "inputs"))
    members = [f'"signature_name": "{signature}"'] if signature != "serving_default" or random.random() < 0.5 else []
    values = _make_right_values(random, key, inputs) if random.random() < 0.6 else _make_values(random, key)
    members.append(f'"{key}": {values}')
    if random.random() < 0.1:
        members.append(f'"context": {_make_object(random, 1)}')
    if random.random() < 0.15:
        members.append(random.choice((*members, f'"{random.choice(_FIELDS)}": {_make_value(random, 2)}')))
        random.shuffle(members)
    body = ("{" + ", ".join(members) + "}").encode("utf-8", "surrogatepass")
    return mutate(random, body, _TOKENS) if random.random() < 0.25 else body


def make_nested(random: Random) -> bytes:
    """Makes a deep nest, up to the depth at which Python's own stack ends and beyond it."""
    depth = random.choice((30, 62, 63, 64, 65, 66, 100, 253, 254, 255, 256, random.randint(300, 1100), 100_000))
    opening, closing = random.choice((("[", "]"), ('{"x":', "}"), ('[{"a":', "}]")))
    inner = opening * depth + "1" + closing * random.choice((depth, depth, depth - 1))
    name = random.choice(("instances", "inputs", "examples", "context", "x"))
    return (f'{{"examples": [], "{name}": {inner}}}' if random.random() < 0.5 else f'{{"{name}": {inner}}}').encode()


def check_answer(api: RestApi, request: Request) -> str:
    """Gives a request to the API, and returns the answer's status.

    Raises:
        Fault: if no answer to any request may be like this one.
    """
    answer = api.answer(*request)
    if not isinstance(answer, Answer):
        raise Fault(f"no answer: {answer!r}")
    text = answer.body.decode("utf-8", "surrogateescape")
    if dict(answer.headers)["Content-Type"] == "application/json" and text:
        try:
            document = json.loads(text)
        except ValueError as error:
            raise Fault(f"no JSON in the answer: {text[:200]!r}") from error
        if answer.status != 200 and (set(document) != {"error"} or not document["error"]):
            raise Fault(f"no error in the answer: {text[:200]!r}")
    if answer.status == 500 and "XLA compilation disabled" not in text:
        raise Fault(text)
    return str(answer.status)


def _make_right_values(random: Random, key: str, inputs: dict[str, int]) -> str:
    """Makes values that fit a signature's inputs, apart from their shapes."""
    count = random.choice((1, 1, 2, 3, 70))
    if key == "examples":
        return "[" + ", ".join(['{"x": 0.5, "words": ["a", "b"]}'] * count) + "]"
    columns = {name: [_make_leaf(random, dtype) for _ in range(count)] for name, dtype in inputs.items()}
    if key == "inputs":
        arrays = {name: "1" if name == "steps" else f"[{', '.join(cells)}]" for name, cells in columns.items()}
        return "{" + ", ".join(f'"{name}": {array}' for name, array in arrays.items()) + "}"
    if len(columns) == 1 and random.random() < 0.7:
        (cells,) = columns.values()
        return "[" + ", ".join(f"[{cell}, 2]" if "matrix" in inputs else cell for cell in cells) + "]"
    rows = [", ".join(f'"{name}": {cells[row]}' for name, cells in columns.items()) for row in range(count)]
    return "[" + ", ".join("{" + row + "}" for row in rows) + "]"


def _make_leaf(random: Random, dtype: int) -> str:
    match dtype:
        case 7:
            return random.choice(('"text"', '"é"', '{"b64": "aGk="}', '""'))
        case 10:
            return random.choice(("true", "false"))
        case 1 | 2 | 19:
            return random.choice(("1", "2.5", "-1e30", "1e-40", "0.1", "3e38", "123456789"))
    return random.choice(("0", "1", "200", "7"))


def _make_values(random: Random, key: str) -> str:
    if random.random() < 0.1:
        return _make_value(random, 2)
    if key == "examples" or random.random() < 0.3:
        kind = "object" if key != "inputs" else "column"
    else:
        kind = random.choice(("numbers", "numbers", "texts", "rows", "bools"))
    rows = random.choice((0, 1, 1, 2, 3, 70))
    match kind:
        case "object":
            return "[" + ", ".join(_make_object(random, 1) for _ in range(min(rows, 3))) + "]"
        case "column":
            return _make_object(random, 2)
        case "numbers":
            cells = [
                random.choice(_NUMBERS[:20]) if random.random() < 0.1 else f"{random.gauss(0, 9):.3g}"
                for _ in range(rows)
            ]
        case "texts":
            cells = [random.choice(_STRINGS) if random.random() < 0.3 else '"text"' for _ in range(rows)]
        case "bools":
            cells = [random.choice(("true", "false", "0", "1")) for _ in range(rows)]
        case _:
            width = random.choice((0, 1, 2, 2, 3))
            cells = ["[" + ", ".join(["1.5"] * width) + "]" for _ in range(rows)]
    return "[" + ", ".join(cells) + "]"


def _make_object(random: Random, depth: int) -> str:
    names = random.sample(_FIELDS, random.choice((0, 1, 1, 2, 3)))
    names += names[:1] if random.random() < 0.1 else []
    return "{" + ", ".join(f'"{name}": {_make_value(random, depth)}' for name in names) + "}"


def _make_value(random: Random, depth: int) -> str:
    choice = random.random()
    if depth and choice < 0.25:
        return "[" + ", ".join(_make_value(random, depth - 1) for _ in range(random.choice((0, 1, 2, 5)))) + "]"
    if depth and choice < 0.3:
        return _make_object(random, depth - 1)
    if choice < 0.6:
        return random.choice(_NUMBERS) if random.random() < 0.5 else random.choice(("1", "2.5", "-3"))
    return random.choice(_STRINGS) if choice < 0.9 else random.choice(_WORDS)
