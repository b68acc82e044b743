"""Messages on the socket between a supervisor and a worker."""

import socket

from tfchain.deployment.server.workers.messages import Channel, LineReader, encode_message


def test_messages_are_put_together_however_they_are_cut() -> None:
    sent = [{"kind": "ready"}, {"text": "a\nb Ä"}, {"numbers": [1, 2.5, None]}]
    data = b"".join(map(encode_message, sent))
    reader = LineReader()
    assert [message for byte in data for message in reader.feed(bytes([byte]))] == sent
    assert reader.feed(data[:7]) == []
    assert reader.feed(data[7:] + data) == sent + sent


def test_a_channel_keeps_what_a_worker_does_not_read_and_never_waits() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours)
        sent = [{"number": number, "text": "x" * 100_000} for number in range(20)]
        for message in sent:
            channel.send(message)
        assert channel.has_unsent
        theirs.settimeout(5)
        reader, received = LineReader(), []
        while len(received) < len(sent):
            received += reader.feed(theirs.recv(1 << 20))
            channel.flush()
        assert received == sent
        assert not channel.has_unsent


def test_a_channel_gives_the_last_words_of_a_worker_that_is_gone_and_drops_what_is_sent_to_it() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    assert channel.receive() == ([], True)
    theirs.sendall(encode_message({"kind": "failed"}) + b'{"half')
    theirs.close()
    assert channel.receive() == ([{"kind": "failed"}], False)
    channel.send({"kind": "do"})
    assert not channel.has_unsent
    channel.close()
    assert channel.receive() == ([], False)
