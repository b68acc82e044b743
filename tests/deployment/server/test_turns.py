"""Turns of threads."""

import threading

from tfchain.deployment.server.turns import Turns


def test_one_turn_at_a_time_in_the_order_of_the_tickets() -> None:
    turns = Turns(1)
    first = turns.take_ticket()
    tickets = [turns.take_ticket() for _ in range(4)]
    order: list[int] = []

    def work(number: int) -> None:
        with turns.hold(tickets[number]):
            order.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in (3, 1, 0, 2)]
    with turns.hold(first):
        for thread in threads:
            thread.start()
        assert order == []
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3]


def test_as_many_as_allowed_hold_a_turn_together() -> None:
    turns = Turns(2)
    together = threading.Barrier(2, timeout=5)

    def work(ticket: object) -> None:
        with turns.hold(ticket):
            together.wait()

    threads = [threading.Thread(target=work, args=(turns.take_ticket(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)


def test_a_turn_that_ends_with_an_error_is_given_back() -> None:
    turns = Turns(1)
    try:
        with turns.hold(turns.take_ticket()):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    with turns.hold(turns.take_ticket()):
        pass


def test_a_ticket_that_is_given_back_keeps_nobody_waiting() -> None:
    turns = Turns(1)
    unused = turns.take_ticket()
    ticket = turns.take_ticket()
    turns.give_back(unused)
    with turns.hold(ticket):
        pass
