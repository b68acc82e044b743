import numpy as np

from tfchain.tasks.pseudo_values import find_pseudo_values


def test_of_a_mean_they_are_the_rows_own_values() -> None:
    values = np.array([0.5, 1.0, 0.0, 0.25])
    np.testing.assert_allclose(find_pseudo_values(lambda places: float(values[places].mean()), 4), values)


def test_of_another_metric_their_mean_is_the_metric() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])

    def root(places: np.ndarray) -> float:
        return float(np.sqrt((values[places] ** 2).mean()))

    found = find_pseudo_values(root, 4)
    assert np.isclose(found.mean(), root(np.arange(4)))
    assert np.all(np.diff(found) > 0)
