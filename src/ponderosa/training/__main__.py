"""One process of one job: `python -m ponderosa.training JOB.json`, alone or under accelerate's or torch's launcher.

The launcher's environment says which of how many processes this is. Events go to stdout (see `events`), all else that
is printed to stderr. Where PONDEROSA_DRIVER names a process, this one ends when that does.
"""

import json
import os
import select
import sys
import threading
from pathlib import Path

from ponderosa.training.events import send
from ponderosa.training.server import die_with, train

DRIVER = "PONDEROSA_DRIVER"


def main() -> None:
    """Trains; the exit code is 1 after an error that was sent."""
    die_with(os.getppid())
    if driver := os.environ.get(DRIVER):
        threading.Thread(target=_die_with_driver, args=(int(driver),), daemon=True).start()
    events = os.dup(1)
    os.dup2(2, 1)
    try:
        job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    except (IndexError, OSError, ValueError) as error:
        send(events, "error", {"message": f"cannot read the job: {error}", "trace": ""})
        os._exit(1)
    os._exit(train(job, events, tells=os.environ.get("LOCAL_RANK", "0") == "0"))


def _die_with_driver(pid: int) -> None:
    try:
        poll = select.poll()
        poll.register(os.pidfd_open(pid), select.POLLIN)
        poll.poll()
    except AttributeError:  # not Linux: Ctrl-C reaches the launcher at least
        return
    except ProcessLookupError:
        pass
    os._exit(2)


if __name__ == "__main__":
    main()
