import os
import signal
import time

from forgeline.engine.notice import Notice


def wait_for(condition):
    ends = time.perf_counter() + 10
    while not condition() and time.perf_counter() < ends:
        time.sleep(0.005)
    assert condition()


def test_hears_a_signal_and_lets_go_of_it():
    before = signal.getsignal(signal.SIGTERM)
    with Notice().signals() as notice:
        assert not notice.asked
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: notice.asked == "SIGTERM")
    assert signal.getsignal(signal.SIGTERM) is before


def test_hears_a_machine_that_is_about_to_go(tmp_path):
    with Notice().polling((tmp_path / "preempted").exists, every=0.01) as notice:
        assert not notice.asked
        (tmp_path / "preempted").touch()
        wait_for(lambda: notice.asked == "preemption notice")


def test_a_failed_poll_is_no_notice():
    answers = iter([OSError("no route"), TimeoutError(), True])

    def gone():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with Notice().polling(gone, every=0.01) as notice:
        wait_for(lambda: notice.asked)
    assert notice.failed_polls == 2


def test_the_first_reason_stays():
    notice = Notice()
    notice.ask("SIGTERM")
    notice.ask("preemption notice")
    assert notice.asked == "SIGTERM"
