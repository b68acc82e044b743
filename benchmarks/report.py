"""Writes the results as tables."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines import REFERENCE
from measures import FEW_QUERIES_A_TURN, QUERIES_A_TURN
from services import FASTAPI

Row = Sequence[str]
TRAINING = Path(__file__).parent / "TRAINING.md"
QUALITY = "## Quality on SciFact"


def write_report(results: dict[str, Any]) -> str:
    """The results as Markdown.

    Args:
        results: `machine`, and whichever of `query`, `bulk`, `agreement`, `memory`, `versions`, `startup`, `imports`,
            `service` was measured.
    """
    parts = [
        "# Results\n\nWritten by `make bench`: everything in one run, the engines taking turns on the same texts and"
        " weights (all-MiniLM-L6-v2; fp32 unless a name says otherwise), each in a process of its own with its default"
        f" threads. A ratio above 1 means better than {REFERENCE}. Training is measured by `make bench-train`:"
        " [TRAINING.md](TRAINING.md).",
        write_machine(results),
    ]
    writers = (
        ("query", write_query),
        ("bulk", write_bulk),
        ("service", write_service),
        ("startup", write_startup),
        ("imports", write_imports),
        ("memory", write_memory),
        ("agreement", write_agreement),
    )
    parts += [write(results) for key, write in writers if results.get(key)]
    parts += read_training_quality(TRAINING)
    return "\n\n".join(parts) + "\n"


def read_training_quality(path: Path) -> list[str]:
    """What `make bench-train` wrote on quality, under a heading that tells so; nothing where it wrote none."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    _, heading, section = text.partition(f"{QUALITY}\n")
    section = section.partition("\n## ")[0].strip()
    return [f"## Training: quality on SciFact (from [TRAINING.md](TRAINING.md))\n\n{section}"] if heading else []


def write_machine(results: dict[str, Any]) -> str:
    """The machine, the date and the versions."""
    machine = results["machine"]
    lines = [
        f"- {datetime.datetime.now(tz=datetime.UTC).date()}; {machine['system']}",
        f"- {machine['processor']}, {machine['cores']} cores ({machine['features']}), {machine['memory']},"
        f" load {machine['load']} before the run",
        f"- {results['num_queries']} queries and {results['num_documents']} documents of SciFact, evenly spread",
    ]
    packages: dict[str, str] = {}
    for versions in results.get("versions", {}).values():
        packages |= versions
    if packages:
        lines.append("- " + ", ".join(f"{package} {version}" for package, version in packages.items()))
    return "\n".join(lines)


def write_query(results: dict[str, Any]) -> str:
    """One query."""
    times = results["query"]
    rows = [
        (
            name,
            f"{value['median']:.2f}",
            f"{value['p95']:.2f}",
            ratio(times, name, "median", lower_is_better=True),
            f"{value['processor']:.1f}",
            f"{value['few median']:.2f}",
            f"{value['few p95']:.2f}",
            ratio(times, name, "few median", lower_is_better=True),
        )
        for name, value in times.items()
    ]
    heads = ("engine", "median ms", "p95 ms", "ratio", "processor's ms", "few: median ms", "p95 ms", "ratio")
    table = write_table("One query, text → vector, in process", heads, rows)
    return (
        f"{table}\n\nQueries one after another, in turns of {QUERIES_A_TURN}; few: in turns of {FEW_QUERIES_A_TURN}, "
        "between which all the other engines drive an engine's weights out of the processor's caches."
    )


def write_bulk(results: dict[str, Any]) -> str:
    """Bulk encoding."""
    rates = results["bulk"]
    rows = [
        (
            name,
            f"{value['texts_per_second']:.1f}",
            ratio(rates, name, "texts_per_second"),
            f"{value['processor']:.1f}",
        )
        for name, value in rates.items()
    ]
    heads = ("engine", "texts a second", "ratio", "processor's ms a text")
    return write_table("Documents → vectors (title + space + text, 256 tokens at most, batches of 32)", heads, rows)


def write_service(results: dict[str, Any]) -> str:
    """Servers."""
    service = results["service"]
    load = service["load"]
    rows = []
    for name, by_clients in load.items():
        row = [name]
        for clients, value in by_clients.items():
            against = load.get(FASTAPI, {}).get(clients)
            share = f"{value['per_second'] / against['per_second']:.2f}" if against else "–"
            row += [f"{value['median']:.1f}", f"{value['p95']:.1f}", f"{value['per_second']:.1f}", share]
        rows.append([*row, f"{service['agreement'][name]:.1%}"])
    heads = ["server"]
    for clients in next(iter(load.values())):
        who = f"{clients} client{'s' if clients > 1 else ''}"
        heads += [f"{who}: median ms", "p95 ms", "answers a second", "ratio"]
    table = write_table("Text → top 10 of all documents, by a server", [*heads, "same hits"], rows)
    ready = ", ".join(
        f"{name} {seconds:.1f} s (peak {service['memory'][name]:.0f} MB)"
        for name, seconds in service["startup"].items()
    )
    return f"{table}\n\nFrom the start of the server to its first answer: {ready}."


def write_startup(results: dict[str, Any]) -> str:
    """Start-up."""
    seconds = {name: {"seconds": value} for name, value in results["startup"].items()}
    rows = [
        (name, f"{value['seconds']:.2f}", ratio(seconds, name, "seconds", lower_is_better=True))
        for name, value in seconds.items()
    ]
    return write_table("Start of a process → first vector", ("engine", "seconds", "ratio"), rows)


def write_imports(results: dict[str, Any]) -> str:
    """Commands that a user waits for."""
    rows = [(f"`{name}`", f"{seconds:.2f}") for name, seconds in results["imports"].items()]
    return write_table("Commands", ("command", "seconds"), rows)


def write_memory(results: dict[str, Any]) -> str:
    """Peak memory."""
    memory = results["memory"]
    rows = [
        (
            name,
            *(f"{value[key]:.0f}" if key in value else "–" for key in ("loaded", "bulk")),
            memory_ratio(memory, name),
        )
        for name, value in memory.items()
    ]
    heads = ("engine", "first answers, MB", "after bulk, MB", f"beside {REFERENCE}")
    return write_table("Peak memory of a process", heads, rows)


def write_agreement(results: dict[str, Any]) -> str:
    """Vectors beside the reference's."""
    rows = [
        (name, f"{value['largest_difference']:.1e}", f"{value['least_cosine']:.7f}")
        for name, value in results["agreement"].items()
    ]
    return write_table(f"All vectors beside {REFERENCE}'", ("engine", "largest difference", "least cosine"), rows)


def memory_ratio(memory: dict[str, dict[str, float]], name: str) -> str:
    """Memory as a share of the reference's: here less is better, and a share says it best."""
    if REFERENCE not in memory:
        return "–"
    key = "bulk" if "bulk" in memory[name] else "loaded"
    return f"{memory[name][key] / memory[REFERENCE][key]:.2f}"


def ratio(values: dict[str, dict[str, float]], name: str, key: str, *, lower_is_better: bool = False) -> str:
    """How many times better than the reference."""
    if REFERENCE not in values:
        return "–"
    own, reference = values[name][key], values[REFERENCE][key]
    return f"{reference / own if lower_is_better else own / reference:.2f}"


def write_table(title: str, heads: Row, rows: Sequence[Row]) -> str:
    """A heading and a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return f"## {title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)
