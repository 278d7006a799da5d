"""Runs the command that follows, and ends it with all that it started as soon as standard input ends.

That is the life line of who starts this, in a session of its own: it breaks with that process, however it ends. A
server's workers would outlive it, and keep the accelerator. Run as a file: it must start at once.
"""

import os
import signal
import subprocess
import sys
import threading
from typing import Never


def main(command: list[str]) -> Never:
    """Ends with the command's exit code, and passes on the wish that it should end."""
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    threading.Thread(target=_end_all, daemon=True).start()
    code = server.wait()
    sys.exit(code if code >= 0 else 128 - code)


def _end_all() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
