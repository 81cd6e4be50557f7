"""Order, bounds, errors and clean endings of the prefetcher."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from fastscnn_opt.data.prefetch import prefetch


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


class Result:
    """Something that can be referenced weakly."""


@examples(30)
@given(count=st.integers(0, 30), workers=st.integers(1, 5))
def test_results_come_in_order(count, workers):
    assert list(prefetch(lambda index: index * index, count, workers)) == [index * index for index in range(count)]


@pytest.fixture
def few_objects():
    """Let garbage collections look at the objects of the test alone: a process that ran many tests holds millions."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("few_objects")
@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_than_two_results_beyond_the_workers_are_alive(workers):
    alive: weakref.WeakSet[Result] = weakref.WeakSet()
    lock = threading.Lock()
    most = 0

    def load(_index):
        nonlocal most
        result = Result()
        with lock:
            alive.add(result)
            most = max(most, len(alive))
        return result

    for _result in prefetch(load, 20, workers):
        del _result
        gc.collect()
    assert most <= workers + 2


def test_nothing_is_computed_far_ahead():
    started = []
    generator = prefetch(started.append, 100, 2)
    next(generator)
    generator.close()
    assert max(started) <= 3


def test_an_error_is_raised_at_its_place():
    def load(index):
        if index == 2:
            raise ValueError("two")
        return index

    results = prefetch(load, 5, 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)
    assert threads() == []


def test_closing_early_leaves_no_thread():
    results = prefetch(lambda index: index, 100, 3)
    next(results)
    assert threads() != []
    results.close()
    assert threads() == []


def test_what_has_not_started_when_the_generator_is_closed_never_starts(monkeypatch):
    started, closing = [], threading.Event()

    def load(index):
        started.append(index)
        if index == 1:
            closing.wait()

    shutdown = ThreadPoolExecutor.shutdown
    monkeypatch.setattr(
        ThreadPoolExecutor, "shutdown", lambda *given, **named: (closing.set(), shutdown(*given, **named))
    )
    results = prefetch(load, 100, 1)
    next(results)
    results.close()
    assert 2 not in started


def test_forgetting_the_generator_leaves_no_thread():
    for result in prefetch(lambda index: index, 100, 3):
        if result == 1:
            break
    del result
    gc.collect()
    assert threads() == []


def test_the_end_leaves_no_thread():
    list(prefetch(lambda index: index, 10, 3))
    assert threads() == []


def test_loads_run_side_by_side():
    meeting = threading.Barrier(2, timeout=60)
    assert list(prefetch(lambda index: meeting.wait() >= 0 and index, 2, 2)) == [0, 1]


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (3, 3), (64, 4)])
def test_there_is_a_thread_for_each_core_up_to_four(monkeypatch, cores, workers):
    monkeypatch.setattr("fastscnn_opt.data.prefetch.usable_cores", lambda: cores)
    generator = prefetch(lambda index: index, 100)
    next(generator)
    assert len(threads()) <= workers
    assert len(list(generator)) == 99
