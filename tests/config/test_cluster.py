"""The workers' main process is told to end once, however often it is told."""

import os
import signal

import pytest

from config.cluster import heed_first


@pytest.fixture(autouse=True)
def handlers_as_before():
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def test_a_signal_that_comes_while_one_is_handled_does_not_call_the_handler_again():
    calls = []

    def handle(cluster, number, frame):
        calls.append(number)
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)

    heed = heed_first(handle)
    signal.signal(signal.SIGTERM, lambda number, frame: heed(None, number, frame))
    os.kill(os.getpid(), signal.SIGTERM)
    assert calls == [signal.SIGTERM]
