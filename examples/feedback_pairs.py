"""From clicks to training pairs: a log of users who click what stands first, a report, and what is really relevant.

.venv/bin/python examples/feedback_pairs.py [FOLDER]

It writes the folder `queries`, as a server with --query_log_dir does, `report.html`, and `feedback`, a BEIR folder that
`tfchain train` and `tfchain evaluate` read. No model is needed: the users and the rankings are made up.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from tfchain import Document
from tfchain.chains.query_log import make_mask
from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.log.log_reader import LogReader
from tfchain.monitoring.log.query_log import QueryLog, QueryLogOptions
from tfchain.monitoring.pairs.impressions import read_impressions
from tfchain.monitoring.pairs.judged_folder import write_judged_folder
from tfchain.monitoring.pairs.judgments import judge
from tfchain.monitoring.pairs.position_model import count_impressions, estimate_by_em
from tfchain.monitoring.report.page import write_report
from tfchain.monitoring.report.traffic import measure_traffic

QUERY = "who pays for a lost key, mail anna@example.org"
RELEVANT = {"keys": 0.7, "rules": 0.3, "rent": 0.1}  # the share of users who find it relevant
EXAMINED = (1.0, 0.4, 0.2)  # the share of users who look at each place
DOCUMENTS = (
    Document("keys", "Whoever loses a key pays for the lock."),
    Document("rules", "House rules: keys, rent, dogs."),
    Document("rent", "The rent is due on the third working day."),
)


def ask_and_click(log: QueryLog, answers: int) -> None:
    """Has users ask. The ranking knows little: the document about the rent often stands first."""
    draw = random.Random(0)
    for number in range(answers):
        ids = tuple(sorted(RELEVANT, key=lambda document: draw.random() - 0.5 * (document == "rent")))
        moment, query_id = 1.8e9 + 60 * number, f"q{number}"
        log.observe(Observation(moment, "docs", 1, "search", query_id, QUERY, ids, (0.9, 0.6, 0.5), 4.0))
        for place, document in enumerate(ids):
            if draw.random() < EXAMINED[place] * RELEVANT[document]:
                log.take_feedback(Feedback(moment + 5, "click", query_id, document, place + 1))
        log.tick()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("feedback-example"), help="where to write")
    parser.add_argument("--answers", type=int, default=3000, help="how many times users ask; default: 3000")
    options = parser.parse_args(arguments)

    with QueryLog(QueryLogOptions(options.folder / "queries"), mask=make_mask()) as log:
        ask_and_click(log, options.answers)

    reader = LogReader(options.folder / "queries")
    print("on disk:", next(reader.queries()).text)
    print("report:", write_report(options.folder / "report.html", measure_traffic(reader), title="Lost keys"))

    impressions = read_impressions(reader)
    propensities = estimate_by_em(count_impressions(impressions))
    print("looked at, by place:", ", ".join(f"{chance:.2f}" for chance in propensities))
    judgments = judge(impressions, propensities)
    for judgment in judgments:
        plain = judgment.clicks / judgment.shown
        print(f"{judgment.document_id}: clicked {plain:.2f}, relevant {judgment.relevance:.2f}, grade {judgment.grade}")
    made = write_judged_folder(
        options.folder / "feedback", judgments, DOCUMENTS, impressions=impressions, evaluation_share=0
    )
    print("pairs:", made.path / "pairs.jsonl")


if __name__ == "__main__":
    main(sys.argv[1:])
