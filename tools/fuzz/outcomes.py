"""What became of the inputs: counts by kind and outcome, and the faults."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

SLOW_SECONDS = 5.0
_SHOWN = 400


class Fault(Exception):
    """An input did what none may do."""


@dataclass
class Outcomes:
    """Counts outcomes, and keeps the inputs that were faults.

    Args:
        counts: (kind, outcome) → number.
        faults: Texts: the kind, what happened, and the input.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def try_input(self, kind: str, shown: object, run: Callable[[], str]) -> None:
        """Tries one input.

        Args:
            kind: The kind of input.
            shown: What to show of the input if it is a fault.
            run: Gives the input to the server, and returns what became of it; raises if that is a fault.
        """
        start = time.monotonic()
        try:
            outcome = run()
            seconds = time.monotonic() - start
            if seconds > SLOW_SECONDS:
                raise Fault(f"took {seconds:.1f} s")
        except Exception as error:
            outcome = "fault"
            text = repr(shown)
            cut = text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]} ({len(text)})"
            self.faults.append(f"{kind}: {type(error).__name__}: {str(error)[:_SHOWN]}: {cut}")
        self.counts[kind, outcome] += 1

    def report(self) -> str:
        """Returns a table of the counts, and the first faults."""
        lines = [f"{kind:<12}{outcome:<28}{count:>8}" for (kind, outcome), count in sorted(self.counts.items())]
        lines.append(f"{'all':<12}{'':<28}{self.counts.total():>8}")
        return "\n".join([*lines, f"faults: {len(self.faults)}", *self.faults[:20]])
