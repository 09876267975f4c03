from __future__ import annotations

import os
import signal
import sys
import time

from pipeline.supervise import supervised

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


def test_a_worker_that_dies_is_started_again_and_all_end_with_the_block() -> None:
    with supervised(2, SLEEPER) as workers:
        first = [worker.pid for worker in workers]
        os.kill(first[0], signal.SIGKILL)
        deadline = time.monotonic() + 20
        while workers[0].pid == first[0] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert workers[0].pid != first[0]
        assert workers[0].poll() is None
        assert workers[1].pid == first[1]
    assert [worker.poll() is not None for worker in workers] == [True, True]
