"""Tests of what a report looks like: documents are shown as text, whatever is in them."""

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tfchain.data.checks.data_report import data_report
from tfchain.data.checks.finding import Finding
from tfchain.data.checks.lengths import make_histogram
from tfchain.data.checks.plots import percent, plot_counts
from tfchain.data.checks.report import DataReport

EVIL = "<script>alert(1)</script> {{7*7}} ${x} <img src=x onerror=alert(1)> \x1b[31mred & \"quoted\" 'text'"
ROWS = [{"id": f"<b>{place}", "text": EVIL if place < 2 else f"{EVIL} {place}", "label": EVIL} for place in range(30)]


@pytest.fixture(scope="module")
def report() -> DataReport:
    return data_report(
        train=ROWS,
        evaluation=[{"query": EVIL, "positive": "x"}],
        corpus=["x", "y"],
        detect_language=lambda text: "<i>en",
        count_tokens=lambda texts: [len(text) for text in texts],
    )


class Tags(HTMLParser):
    """Collects the tags and attributes of a page, and the texts of examples."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_shows_documents_as_text_and_loads_nothing(report: DataReport) -> None:
    page = Tags()
    page.feed(report.to_html())

    assert page.open == []
    assert page.tags <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "span", "div", "table", "tr", "td"),
        *("th", "details", "summary", "svg", "rect", "line", "text"),
    }
    assert not {"src", "href", "onerror", "onload", "style"} & page.attributes
    assert EVIL.replace("\x1b", "�") in "".join(page.text)
    assert "default-src 'none'" in report.to_html()


def test_the_plots_are_sound_svg(report: DataReport) -> None:
    html = report.to_html()
    pictures = [part.partition("</svg>")[0] + "</svg>" for part in html.split("<svg")[1:]]

    assert len(pictures) >= 5
    for picture in pictures:
        tree = ET.fromstring("<svg" + picture)
        assert all(float(bar.get("width", "0")) >= 0 for bar in tree.iter() if bar.tag.endswith("rect"))


def test_the_text_controls_no_terminal_and_fits(report: DataReport) -> None:
    text = report.to_text(width=80)

    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0].startswith(f"{report.severity}: ")
    assert "Texts that appear more than once, texts of train" in " ".join(text.split())
    assert "\x1b[" in report.to_text(colour=True)
    assert str(report) == report.to_text()


def test_the_json_is_the_report(report: DataReport) -> None:
    read = json.loads(report.to_json())

    assert read["severity"] == report.severity
    assert read["sets"]["train"] == {"rows": 30, "texts": 30}
    kinds = [finding["kind"] for finding in read["findings"]]
    assert kinds == [finding.kind for finding in report.findings]
    repeated = next(finding for finding in read["findings"] if finding["kind"] == "repeated_text")
    assert repeated["examples"] == [{"ids": ["<b>0", "<b>1"], "texts": [EVIL], "detail": "2 times"}]
    assert repeated["share"] == pytest.approx(1 / 29, abs=1e-6)


def test_the_folder_has_three_files_and_is_not_written_over(report: DataReport, tmp_path: Path) -> None:
    folder = report.write(tmp_path / "report")

    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "report.txt"]
    assert (folder / "report.html").read_text(encoding="utf-8") == report.to_html() + "\n"
    with pytest.raises(FileExistsError):
        report.write(folder)


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    folder = data_report(train=["\ud83d", "\ud83d"]).write(tmp_path / "report")

    assert "\ufffd" in (folder / "report.html").read_text(encoding="utf-8")


def test_more_findings_take_their_place() -> None:
    report = data_report(train=["a"])
    bad = Finding("broken_schema", ("train",), "rows", 1, 1, "stop")

    assert report.with_findings([bad]).findings[0] is bad
    assert bad not in report.findings


def test_a_histogram_of_whole_numbers_has_whole_edges_and_the_last_bar_holds_the_rest() -> None:
    found = make_histogram([*range(1, 100), 10_000])

    assert sum(found.counts) == 100
    assert all(edge == int(edge) for edge in found.edges)
    assert found.edges[-1] < 10_000
    assert found.quantiles["1.0"] == 10_000
    assert make_histogram([0.5, 0.5]).counts[0] == 2


def test_of_many_labels_the_most_frequent_and_the_rarest_are_drawn() -> None:
    picture = plot_counts({f"label{place:02}": 100 - place for place in range(60)}, "labels")

    assert "label00" in picture
    assert "label59" in picture
    assert "label30" not in picture
    assert "40 others" in picture
    assert [percent(share) for share in (0, 0.0001, 0.5)] == ["0.0%", "<0.1%", "50.0%"]
