"""Collections of pictures: lists, folders, tables and zip files."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.pictures.pixels import write_png
from tfchain.data.pictures.reading import read_pictures

PNG = write_png(np.zeros((2, 2, 3), np.uint8))


def make_folder(path: Path) -> Path:
    (path / "inner").mkdir()
    for name in ("b.png", "inner/a.PNG"):
        (path / name).write_bytes(PNG)
    (path / "notes.txt").write_text("no picture")
    return path


def test_a_list_has_numbers_or_names_for_ids() -> None:
    items = read_pictures([PNG, "photos/x.png", {"image": PNG, "caption": "a cat", "id": "cat"}], first_number=7)
    assert [(item.id, item.caption, item.place) for item in items] == [
        ("7", "", "images[0]"),
        ("x.png", "", "images[1]"),
        ("cat", "a cat", "images[2]"),
    ]
    given = read_pictures([PNG, PNG], captions=["a", "b"], ids=["x", "y"], metadata=[{"n": 1}, {"n": 2}])
    assert [(item.id, item.caption, item.metadata) for item in given] == [("x", "a", {"n": 1}), ("y", "b", {"n": 2})]
    for one in (PNG, bytearray(PNG), np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8), {"image": PNG}):
        assert [item.id for item in read_pictures(one, first_number=3)] == ["3"]
    assert len(read_pictures(np.zeros((2, 4, 5, 3), np.uint8))) == 2
    (item,) = read_pictures([{"image": PNG, "id": None, "caption": None, "tag": np.int64(1)}], captions=iter(["x"]))
    assert (item.id, item.caption, item.metadata) == ("0", "x", {"tag": 1})


def test_a_folder_has_its_pictures_in_order(tmp_path: Path) -> None:
    items = read_pictures(make_folder(tmp_path))
    assert [item.id for item in items] == ["b.png", "inner/a.PNG"]
    (tmp_path / "._b.png").write_bytes(b"macOS writes such files")
    assert len(read_pictures(tmp_path)) == 2


def test_lines_of_a_table_end_where_json_says(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "t.jsonl").write_text(
        '{"file": "b.png", "text": "one\u2028two"}\n{"file": "b.png"}\n', encoding="utf-8"
    )
    assert [item.caption for item in read_pictures(tmp_path / "t.jsonl")] == ["one\u2028two", ""]


def test_what_is_for_a_list_alone_is_refused_for_files(tmp_path: Path) -> None:
    make_folder(tmp_path)
    archive = tmp_path / "z.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("c.png", PNG)
    for options in ({"ids": ["x"]}, {"metadata": [{}]}, {"captions": ["x", "y"]}, {"captions": "x"}, {"split": "x"}):
        for path in (tmp_path, archive):
            with pytest.raises(InputError, match=f"`{next(iter(options))}`"):
                read_pictures(path, **options)


def test_what_a_zip_file_does_not_give_is_named(tmp_path: Path) -> None:
    file = tmp_path / "z.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", PNG * 9)
        archive.writestr("__MACOSX/._a.png", b"macOS writes such files")
    content = bytearray(file.read_bytes())
    locked = bytearray(content)
    locked[6] |= 1  # a password is needed
    locked[content.index(b"PK\x01\x02") + 8] |= 1
    packed = content.copy()
    packed[35:50] = bytes(15)  # no deflated bytes
    for broken in (locked, packed):
        file.write_bytes(broken)
        (item,) = read_pictures(file)
        with pytest.raises(InputError, match="z.zip/a.png cannot be unpacked"):
            item.load()


def test_a_table_names_pictures_beside_it_and_in_a_zip_file(tmp_path: Path) -> None:
    make_folder(tmp_path)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("c.png", PNG)
    rows = "image,name,tag,split\nb.png,a bee,x,train\nc.png,a sea,y,test\n"
    (tmp_path / "captions.csv").write_text(rows, encoding="utf-8")
    items = read_pictures(tmp_path / "captions.csv")
    assert [(item.id, item.caption, item.metadata) for item in items] == [
        ("b.png", "a bee", {"tag": "x", "split": "train"}),
        ("c.png", "a sea", {"tag": "y", "split": "test"}),
    ]
    assert items[1].load() == PNG
    assert [item.id for item in read_pictures(tmp_path, split="test")] == ["c.png"]
    assert read_pictures(tmp_path / "captions.csv", captions="tag")[0].caption == "x"
    assert [item.id for item in read_pictures(tmp_path / "images.zip")] == ["c.png"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    empty, table = tmp_path / "empty", tmp_path / "t.csv"
    empty.mkdir()
    table.write_text("image,caption\n../secret.png,x\n", encoding="utf-8")
    (tmp_path / "secret.png").write_bytes(PNG)
    for name, row in (("comma", "secret.png,a cat, and a dog"), ("long", f"{'x' * 5000},y"), ("blank", ",y")):
        (tmp_path / f"{name}.csv").write_text(f"image,caption\n{row}\n", encoding="utf-8")
    (tmp_path / "list.jsonl").write_text('{"image": "secret.png", "captions": ["x", "y"]}', encoding="utf-8")
    assert read_pictures("x" * 5000)[0].picture == "x" * 5000  # no path: an error when it is read
    (tmp_path / "u.csv").write_text("who,what\na,b\n", encoding="utf-8")
    for images, message in (
        (empty, "A folder must have pictures"),
        (table, "has no picture '../secret.png'"),
        (tmp_path / "u.csv", "must have one of the columns image, file_name"),
        (tmp_path / "none.csv", "cannot be read as a table"),
        (tmp_path / "comma.csv", "row 1 has more cells than the header. Received: \\[' and a dog'\\]"),
        (tmp_path / "long.csv", "has no picture 'xxx"),
        (tmp_path / "blank.csv", "row 1 must name a file in `image`. Received: ''"),
        (tmp_path / "list.jsonl", "a caption must be a text. Received: \\['x', 'y'\\]"),
        ([{"image": PNG, "metadata": "x"}], "images\\[0\\]: A document's `metadata` must be a dict"),
        ([{"image": PNG, "metadata": {"x": {1}}}], "something that JSON can hold"),
        ([{"caption": "x"}], "images\\[0\\]: a dict must have `image`"),
        ([{"image": PNG, "caption": 3}], "images\\[0\\]: a caption must be a text. Received: 3"),
    ):
        with pytest.raises(InputError, match=message):
            read_pictures(images)
    with pytest.raises(InputError, match="`captions` must be a list with one item for each picture. Received: 1 for 2"):
        read_pictures([PNG, PNG], captions=["x"])
    (empty / "bad.zip").write_bytes(b"no zip")
    (empty / "t.csv").write_text("image,caption\nx.png,x\n", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read as a zip file"):
        read_pictures(empty / "t.csv")
