"""The context of examples, against Protocol Buffers' own reading of the bytes."""

from tensorflow.core.example import example_pb2

from tfchain.deployment.server.inference.examples import merge_context


def make(**values: int) -> bytes:
    example = example_pb2.Example()
    for name, value in values.items():
        example.features.feature[name].int64_list.value.append(value)
    return example.SerializeToString()


def test_a_feature_of_the_example_wins_over_one_of_the_context() -> None:
    merged = merge_context(make(a=1, b=2), [make(b=3, c=4), b""])
    found = [
        {name: list(feature.int64_list.value) for name, feature in example.features.feature.items()}
        for example in map(example_pb2.Example.FromString, merged)
    ]
    assert found == [{"a": [1], "b": [3], "c": [4]}, {"a": [1], "b": [2]}]
