"""Where a text may be cut between characters."""

import pytest

from tfchain.data.documents.clusters import is_cluster_start, nearest_cluster_start

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
GERMANY, FRANCE = "\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("abc", [0, 1, 2, 3]),
        ("e\u0301a", [0, 2, 3]),
        ("a\r\nb", [0, 1, 3, 4]),
        (FAMILY + "!", [0, 5, 6]),
        ("\U0001f44d\U0001f3fda", [0, 2, 3]),  # a thumb with a skin tone
        ("\u2764\ufe0f\u2764", [0, 2, 3]),  # a heart with a variation selector
        (GERMANY + FRANCE + "a", [0, 2, 4, 5]),
        ("กำเก", [0, 2, 4]),  # AM belongs to the consonant before it, E to the one after
        ("\u1112\u1161\u11ab가", [0, 3, 4]),  # conjoining Hangul
    ],
)
def test_cuts_keep_visible_characters_whole(text: str, starts: list[int]) -> None:
    assert [place for place in range(len(text) + 1) if is_cluster_start(text, place)] == starts


def test_the_nearest_place_is_found_on_either_side() -> None:
    assert nearest_cluster_start("a" + FAMILY + "b", 2) == 1
    assert nearest_cluster_start("a" + FAMILY + "b", 5) == 6
    assert nearest_cluster_start(FAMILY, 2) == 2  # nowhere else to cut
