"""What holds for all tests, however and wherever they are started."""

import signal

from hypothesis import settings

# Machines are shared: how long an example takes says nothing.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# What a shell puts in the background ignores Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
