"""The client's command under another thread scheduling each time: python -m tests.system.shuffled_client SEED ..."""

import random
import sys
import threading
import time

from client.run import main

_wait = threading.Barrier.wait


def _wait_and_stumble(barrier: threading.Barrier, timeout: float | None = None) -> int:
    place = _wait(barrier, timeout)
    # Long enough for an order to be checked and refused before its user is on its way.
    time.sleep(random.choice([0, 0, random.uniform(0, 0.2)]))
    return place


if __name__ == "__main__":
    random.seed(sys.argv[1])
    # From so often that threads hardly get on, to hardly ever.
    sys.setswitchinterval(10 ** random.uniform(-6, -1.5))
    threading.Barrier.wait = _wait_and_stumble  # type: ignore[assignment,method-assign]
    sys.exit(main(sys.argv[2:]))
