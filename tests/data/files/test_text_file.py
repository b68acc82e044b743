"""Files of queries are read alike, whatever their form."""

from pathlib import Path

from tfchain.data.files.text_file import read_texts


def test_files_of_texts_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("t one\n\ntwo\n", encoding="utf-8-sig")
    (tmp_path / "a.jsonl").write_text('{"title": "t", "text": "one"}\n{"user_query": "two"}\n')
    (tmp_path / "a.tsv").write_text("query\tn\nt one\t1\ntwo\t2\n")

    for name in ("a.txt", "a.jsonl", "a.tsv"):
        assert read_texts(tmp_path / name) == ["t one", "two"]
