"""The process that extracts text: `python -m tfchain.data.extraction.worker` answers files on its standard streams.

A file comes as the length of a JSON header, the header, and the file; an answer as its length and JSON. The process
limits its own memory, processor time and files before it sees any of them, and cannot open a connection or another
process.
"""

import importlib
import json
import logging
import os
import resource
import struct
import sys
from dataclasses import asdict
from typing import Any, BinaryIO

from tfchain.core.errors import InputError, MissingPackageError, first_line
from tfchain.data.files.limits import ReadLimits

EXTRACTORS = {
    ".html": "tfchain.data.extraction.html:extract_html",
    ".htm": "tfchain.data.extraction.html:extract_html",
    ".xhtml": "tfchain.data.extraction.html:extract_html",
    ".pdf": "tfchain.data.extraction.pdf:extract_pdf",
    ".docx": "tfchain.data.extraction.word:extract_docx",
    ".pptx": "tfchain.data.extraction.slides:extract_pptx",
    ".xlsx": "tfchain.data.extraction.sheets:extract_xlsx",
    ".epub": "tfchain.data.extraction.books:extract_epub",
}
LENGTH = struct.Struct(">Q")
REFUSED_EVENTS = {
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec"),
    *("os.posix_spawn", "os.fork", "os.forkpty", "os.kill", "os.remove", "os.rename", "shutil.rmtree"),
}
SPARE_SECONDS = 5  # of processor time beyond the time-out, after which the parent should have killed it


def main() -> None:
    """Answers files until the parent closes the pipe."""
    answers = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb+") as nothing:  # what libraries print must not mix with answers
        os.dup2(nothing.fileno(), 1)
    logging.disable(logging.CRITICAL)
    files = sys.stdin.buffer
    is_confined = False
    while (head := files.read(LENGTH.size)) and len(head) == LENGTH.size:
        header = json.loads(files.read(*LENGTH.unpack(head)))
        limits = ReadLimits(**header["limits"])
        if not is_confined:
            confine(limits.memory_bytes)
            is_confined = True
        limit_processor(limits.seconds)
        answer = json.dumps(answer_file(files, header, limits), ensure_ascii=False).encode("utf-8", "replace")
        write_answer(answers, answer)


def write_answer(answers: BinaryIO, answer: bytes) -> None:
    """Writes an answer with its length."""
    answers.write(LENGTH.pack(len(answer)))
    answers.write(answer)
    answers.flush()


def answer_file(files: BinaryIO, header: dict[str, Any], limits: ReadLimits) -> dict[str, Any]:
    """Reads and extracts one file: `text`, `title` and `page_starts`, or `error`, or `missing` for a package."""
    try:
        data = files.read(header["size"])
        module, _, name = EXTRACTORS[header["ending"]].partition(":")
        return asdict(getattr(importlib.import_module(module), name)(data, limits))
    except MissingPackageError as error:
        return {"missing": str(error)}
    except InputError as error:
        return {"error": str(error)}
    except MemoryError:
        return {
            "error": f"needs more than {limits.memory_bytes:,} bytes of memory. Raise `memory_bytes` of the limits."
        }
    except RecursionError:
        return {"error": "nested too deep. Flatten it, or leave it out."}
    except Exception as error:  # whatever a library does with a file that somebody made to break it
        return {"error": f"damaged: {type(error).__name__}: {first_line(error)}. Save it again, or leave it out."}


def confine(memory_bytes: int) -> None:
    """Limits what this process may take, and refuses connections, other processes, and writing to files."""
    set_limit(resource.RLIMIT_AS, memory_bytes)
    set_limit(resource.RLIMIT_FSIZE, 0)
    set_limit(resource.RLIMIT_CORE, 0)
    sys.addaudithook(refuse)


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuses what no extractor needs; an audit hook."""
    if event in REFUSED_EVENTS or (event == "open" and is_writing(arguments)):
        raise PermissionError(f"an extractor may not do this: {event}")


def is_writing(arguments: tuple[Any, ...]) -> bool:
    """Returns whether the arguments of the audit event `open` say that a file is opened for writing."""
    _, mode, flags = arguments
    return bool(set(mode or "") & set("wax+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def limit_processor(seconds: float) -> None:
    """Lets this process use so many more seconds of processor time, in case its parent is gone and cannot kill it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    set_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + SPARE_SECONDS, soft_only=True)


def set_limit(kind: int, value: int, *, soft_only: bool = False) -> None:
    """Sets a limit of this process, never above what it already has."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, hard if soft_only else value))


if __name__ == "__main__":
    main()
