# ruff: noqa: E501 - a table
"""Hostile programs, by what they try. Each prints ESCAPED if it got what it wanted.

`$canary` is a file and `$folder` its folder, `$tcp` and `$udp` are ports that somebody listens to on the loopback
interface, `$local` is a socket's path, `$abstract` an abstract socket's name, `$victim` another process of the same user.
Besides that, each must end with one of the statuses given. What it did is looked at from outside.
"""

import platform

from ponderosa.core import Status

OK, ERROR, REFUSED, CRASHED = Status.OK, Status.ERROR, Status.REFUSED, Status.CRASHED
TIMEOUT, MEMORY, OUTPUT_LIMIT = Status.TIMEOUT, Status.MEMORY, Status.OUTPUT_LIMIT

_CALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    result = libc.syscall(*(a if isinstance(a, (bytes, ctypes.c_void_p)) else ctypes.c_long(a) for a in arguments))
    print("ESCAPED" if result >= 0 else os.strerror(ctypes.get_errno()))
"""


def _calls(*arguments: str) -> str:
    """System calls by their numbers on x86-64; elsewhere they are others, so nothing is tried."""
    if platform.machine() != "x86_64":
        return ""
    return _CALL + "".join(f"call({a})\n" for a in arguments)


PROCESSES = {
    "fork": "import os\nos.fork()\nprint('ESCAPED')",
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: continue\n    print('ESCAPED')",
    "fork by the system call": _calls("57", "58"),
    "clone like libc": _calls("56, 0x01200011, 0, 0, 0, 0"),
    "clone as the server's processes do": _calls("56, 0x8011, 0, 0, 0, 0"),
    "clone3": _calls("435, 0, 88"),
    "vfork and exec": "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'echo ESCAPED'])",
    "spawn": "import os\nos.posix_spawn('/bin/sh', ['sh', '-c', 'touch $folder/new'], {})\nprint('ESCAPED')",
    "exec": "import os\nos.execv('/bin/echo', ['echo', 'ESCAPED'])",
    "exec python again": "import os, sys\nos.execv('/proc/self/exe', ['python', '-c', 'print(\"ESCAPED\")'])",
    "os.system": "import os\nprint('ESCAPED' if os.system('touch $folder/new') == 0 else 'denied')",
    "popen": "import os\nprint(os.popen('echo ESCAPED').read())",
    "daemon": "import os\nos.setsid()\nprint('ESCAPED')",
    "new group": "import os\nos.setpgid(0, 0)\nprint('ESCAPED')",
    "multiprocessing": "import multiprocessing as m\nm.Process(target=print, args=('ESCAPED',)).start()",
    "process pool": "from concurrent.futures import ProcessPoolExecutor as P\nprint('ESCAPED', P(1).submit(pow, 2, 2).result())",
    "thread": "import threading\nthreading.Thread(target=print, args=('ESCAPED',)).start()",
    "thread bomb": "import _thread, time\nfor _ in range(1000):\n    try: _thread.start_new_thread(time.sleep, (9,))\n"
    "    except RuntimeError: continue\n    print('ESCAPED')",
    "thread pool": "from concurrent.futures import ThreadPoolExecutor as T\nprint(T(2).submit(print, 'ESCAPED').result())",
    "pickle that spawns": "import os, pickle\nclass P:\n    def __reduce__(self): return os.system, ('touch $folder/new',)\n"
    "pickle.loads(pickle.dumps(P()))",
}

SIGNALS = {
    "kill the server": "import os\nos.kill(os.getppid(), 9)\nprint('ESCAPED')",
    "stop the server": "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nprint('ESCAPED')",
    "kill the own group": "import os\nos.kill(0, 9)\nprint('ESCAPED')",
    "kill all": "import os\nos.kill(-1, 9)\nprint('ESCAPED')",
    "kill a victim": "import os\nos.kill($victim, 9)\nprint('ESCAPED')",
    "killpg": "import os\nos.killpg(os.getpgrp() if hasattr(os, 'getpgrp') else 0, 9)\nprint('ESCAPED')",
    "kill a neighbour": "import os\nfor pid in range(os.getpid() - 20, os.getpid()):\n    try: os.kill(pid, 9)\n"
    "    except OSError: continue\n    print('ESCAPED')",
    "tkill": _calls("200, $victim, 9"),
    "queue a signal": _calls("129, $victim, 9, 0"),
    "pidfd": "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open($victim), 9)\nprint('ESCAPED')",
    "signals by fcntl": "import fcntl, os\nfcntl.fcntl(0, fcntl.F_SETOWN, $victim)\nprint('ESCAPED')",
    "ptrace": _calls("101, 16, $victim, 0, 0"),
    "trace the server": "import os" + _calls("101, 16, os.getppid(), 0, 0"),
    "read a process": _calls("310, $victim, 0, 0, 0, 0, 0"),
    "write a process": _calls("311, $victim, 0, 0, 0, 0, 0"),
    "priority of others": "import os\nos.setpriority(os.PRIO_PROCESS, $victim, 19)\nprint('ESCAPED')",
    "limits of others": "import resource\nresource.prlimit($victim, resource.RLIMIT_CPU, (1, 1))\nprint('ESCAPED')",
}

KERNEL = {
    "io_uring": _calls("425, 8, 0"),
    "bpf": _calls("321, 0, 0, 0"),
    "mount": _calls("165, b'none', b'/tmp', b'tmpfs', 0, 0"),
    "unshare": _calls("272, 0x10000000"),
    "setns": _calls("308, 0, 0"),
    "keyctl": _calls("250, 0, 0, 0, 0, 0"),
    "memfd": "import os\nos.memfd_create('x')\nprint('ESCAPED')",
    "memfd_secret": _calls("447, 0"),
    "the x32 calls": _calls("0x40000000 + 39"),
    "32-bit calls": "import ctypes, mmap\ncode = b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3'\n"
    "m = mmap.mmap(-1, 4096, prot=7)\nm.write(code)\n"
    "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nprint('ESCAPED' if f() > 0 else 'denied')",
    "modules": _calls("175, 0, 0, b''"),
    "reboot": _calls("169, 0xfee1dead, 672274793, 0x89abcdef, 0"),
    "chroot": "import os\nos.chroot('/tmp')\nprint('ESCAPED')",
    "become root": "import os\nos.setuid(0)\nprint('ESCAPED')",
    "become another": "import os\nos.setresuid(1, 1, 1)\nprint('ESCAPED')",
    "dumpable again": _calls("157, 4, 1, 0, 0, 0"),
    "live after the server": _calls("157, 1, 0, 0, 0, 0"),
    "a filter of its own": _calls("317, 1, 8, 0"),
    "host name": "import socket\nsocket.sethostname('ESCAPED')\nprint('ESCAPED')",
    "set the clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)\nprint('ESCAPED')",
    "a higher limit": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\nprint('ESCAPED')",
    "userfaultfd": _calls("323, 0"),
    "perf": _calls("298, 0, 0, 0, 0, 0"),
    "shared memory": _calls("29, 0, 4096, 0o1600"),
    "message queue": _calls("240, b'x', 0o102, 0o600, 0"),
}

NETWORK = {
    "TCP to loopback": "import socket\nsocket.create_connection(('127.0.0.1', $tcp), 1).send(b'x')\nprint('ESCAPED')",
    "UDP to loopback": "import socket\nsocket.socket(2, 2).sendto(b'x', ('127.0.0.1', $udp))\nprint('ESCAPED')",
    "IPv6": "import socket\nsocket.socket(socket.AF_INET6, 1)\nprint('ESCAPED')",
    "local socket": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('$local')\nprint('ESCAPED')",
    "abstract socket": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0$abstract')\nprint('ESCAPED')",
    "socket pair": "import socket\nsocket.socketpair()\nprint('ESCAPED')",
    "netlink": "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\nprint('ESCAPED')",
    "raw socket": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)\nprint('ESCAPED')",
    "a server": "import socket\nsocket.create_server(('127.0.0.1', 0))\nprint('ESCAPED')",
    "urllib": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:$tcp', timeout=1)\nprint('ESCAPED')",
    "names": "import socket\nsocket.getaddrinfo('example.org', 80)\nprint('ESCAPED')",
    "asyncio": "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', $tcp))\nprint('ESCAPED')",
    "the server's socket": "import os\nfor fd in range(4, 256):\n    try: os.write(fd, b'x')\n    except OSError: continue\n    print('ESCAPED')",
    "messages on the own socket": _calls("46, 3, 0, 0", "44, 3, b'x', 1, 0, 0, 0"),
}

FILES = {
    "read a file": "print('ESCAPED', open('$canary').read())",
    "read by a link of /proc": "print('ESCAPED', open('/proc/self/cwd/$canary').read())",
    "read /etc/passwd": "print('ESCAPED', open('/etc/passwd').read())",
    "read /etc/shadow": "print('ESCAPED', open('/etc/shadow').read())",
    "read the own environment": "print('ESCAPED', open('/proc/self/environ').read())",
    "read the parent's environment": "import os\nprint('ESCAPED', open(f'/proc/{os.getppid()}/environ').read())",
    "read a victim's environment": "print('ESCAPED', open('/proc/$victim/environ').read())",
    "read the parent's memory": "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb')\nprint('ESCAPED')",
    "own memory": "open('/proc/self/mem', 'r+b')\nprint('ESCAPED')",
    "read a device": "open('/dev/zero', 'rb')\nprint('ESCAPED')",
    "write a device": "open('/dev/null', 'wb')\nprint('ESCAPED')",
    "list the home": "import os\nprint('ESCAPED', os.listdir(os.path.expanduser('~')))",
    "list the root": "import os\nprint('ESCAPED', os.listdir('/'))",
    "list a folder": "import os\nprint('ESCAPED', list(os.scandir('$folder')))",
    "write a file": "open('$canary', 'w').write('dead')",
    "append": "open('$canary', 'a').write('dead')",
    "truncate": "import os\nos.truncate('$canary', 0)",
    "remove": "import os\nos.remove('$canary')",
    "rename": "import os\nos.rename('$canary', '$canary-2')",
    "hard link": "import os\nos.link('$canary', '$canary-2')",
    "symbolic link": "import os\nos.symlink('$canary', '$folder/new')",
    "new file": "open('$folder/new', 'x')",
    "new folder": "import os\nos.mkdir('$folder/new')",
    "named pipe": "import os\nos.mkfifo('$folder/new')",
    "permissions": "import os\nos.chmod('$canary', 0)",
    "owner": "import os\nos.chown('$canary', 1, 1)",
    "times": "import os\nos.utime('$canary', (0, 0))",
    "extended attributes": "import os\nos.setxattr('$canary', 'user.x', b'1')",
    "temporary file": "import tempfile\ntempfile.NamedTemporaryFile().write(b'x')\nprint('ESCAPED')",
    "fill /tmp": "open('/tmp/ponderosa-fill', 'w').write('x' * 10**6)\nprint('ESCAPED')",
    "fill /dev/shm": "open('/dev/shm/ponderosa-fill', 'w').write('x' * 10**6)\nprint('ESCAPED')",
    "shared memory file": "from multiprocessing import shared_memory as s\ns.SharedMemory(create=True, size=9)\nprint('ESCAPED')",
    "change folder": "import os\nos.chdir('$folder')\nprint('ESCAPED')",
    "openat2": _calls("437, -100, b'$canary', 0, 24"),
    "file handles": _calls("304, 0, 0, 0"),
    "sqlite": "import sqlite3\nsqlite3.connect('$folder/new').execute('create table t (x)')\nprint('ESCAPED')",
    "bytecode": "import py_compile\npy_compile.compile('$canary', cfile='$folder/new')\nprint('ESCAPED')",
    "log file": "import logging\nlogging.basicConfig(filename='$folder/new')\nprint('ESCAPED')",
}

RESOURCES = {
    "memory in bytes": ("x = bytearray(8 * 10**9)", {MEMORY}),
    "memory in lists": ("x = []\nwhile True: x.append(' ' * 10**6)", {MEMORY, TIMEOUT}),  # whichever limit is near
    "memory in numpy": ("import numpy\nx = numpy.ones(10**9)\nx += 1", {MEMORY, ERROR}),
    "memory caught and again": (
        "x = []\nwhile True:\n    try: x.append(' ' * 10**6)\n    except MemoryError: pass",
        {TIMEOUT, MEMORY},
    ),
    "endless loop": ("while True: pass", {TIMEOUT}),
    "endless sleep": ("import time\nwhile True: time.sleep(1)", {TIMEOUT}),
    "ignored signals": (
        "import signal\nfor s in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(s, signal.SIG_IGN)\n"
        "while True: pass",
        {TIMEOUT},
    ),
    "blocked signals": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
        {TIMEOUT},
    ),
    "everything caught": ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", {TIMEOUT}),
    "backtracking": ("import re\nre.match('(a+)+$', 'a' * 60 + 'b')", {TIMEOUT}),
    "a power tower": ("print(10**10**10)", {TIMEOUT, MEMORY, ERROR}),
    "a sympy power": ("import sympy\nprint(sympy.Integer(10) ** 10**10)", {TIMEOUT, MEMORY, ERROR}),
    "a sympy factorial": ("import sympy\nprint(len(str(sympy.factorial(10**8))))", {TIMEOUT, MEMORY, ERROR}),
    "digits": ("import sys\nsys.set_int_max_str_digits(0)\nprint(len(str(7 ** 9**8)))", {TIMEOUT, MEMORY}),
    "hanging finalizer": ("class A:\n    def __del__(self):\n        while True: pass\na = A()", {TIMEOUT}),
    "hanging exit handler": ("import atexit, time\natexit.register(time.sleep, 60)", {TIMEOUT}),
    "flood": ("while True: print('x' * 999)", {OUTPUT_LIMIT}),
    "flood without newlines": ("import sys\nwhile True: sys.stdout.write('x')", {OUTPUT_LIMIT}),
    "flood of bytes": ("import os\nwhile True: os.write(1, b'\\xff' * 4096)", {OUTPUT_LIMIT}),
    "flood of errors": ("import sys\nwhile True: print('x' * 999, file=sys.stderr)", {TIMEOUT}),
    "flood of reports": ("import os\nwhile True: os.write(3, b'\\0\\0\\0\\2{}')", {TIMEOUT, CRASHED}),
    "report nested too deep": (
        "import os\nr = b'[' * 500_000\nr = len(r).to_bytes(4, 'big') + r\nwhile r: r = r[os.write(3, r):]\nwhile True: pass",
        {TIMEOUT, CRASHED},
    ),
    "report that never ends": (
        "import os\nos.write(3, b'\\0\\x7f\\xff\\xff')\nwhile True: os.write(3, b' ' * 4096)",
        {TIMEOUT, CRASHED},
    ),
    "descriptors": ("import os\nwhile True: os.dup(1)", {ERROR}),
    "questions to the server": (
        "import os\nwhile True:\n    try: os.kill(1, 0)\n    except OSError: pass",
        {TIMEOUT},
    ),
    "recursion": ("def f(): f()\nf()", {ERROR}),
    "recursion without limit": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        {CRASHED, MEMORY, ERROR, TIMEOUT},
    ),
    "deep expression": ("eval('(' * 10**5 + ')' * 10**5)", {ERROR, CRASHED, MEMORY}),
    "deep brackets in the source": ("x = " + "[" * 5000 + "]" * 5000, {ERROR, MEMORY}),
    "null bytes": ("x = 1\0", {ERROR}),
    "lone surrogates": ("print('\\ud800')", {ERROR}),
    "a lone surrogate in the source": ("print('\ud800')", {ERROR}),
}

TRICKS = {
    "segmentation fault": ("import ctypes\nctypes.string_at(0)", {CRASHED}),
    "abort": ("import os\nos.abort()", {CRASHED}),
    "kill itself": ("import os\nos.kill(os.getpid(), 9)", {CRASHED}),
    "leave without a word": ("import os\nos._exit(0)", {CRASHED}),
    "os._exit replaced": ("import os\nos._exit = lambda code: None\nprint('on')", {OK}),
    "json replaced": ("import json\njson.dumps = json.JSONEncoder.encode = lambda *a, **k: 'x'\nprint('on')", {OK}),
    "builtins replaced": ("import builtins\nfor n in dir(builtins): setattr(builtins, n, None)", {OK, ERROR}),
    "builtins deleted": ("import builtins\nvars(builtins).clear()", {OK, ERROR, CRASHED}),
    "modules deleted": ("import sys\nsys.modules.clear()", {OK, ERROR, CRASHED}),
    "os emptied": ("import os\nfor n in list(vars(os)): delattr(os, n)", {OK, ERROR}),
    "the frames above": (
        "import sys\nf = sys._getframe()\nwhile f.f_back:\n    f = f.f_back\n    f.f_locals.clear()\nprint('on')",
        {OK, ERROR},
    ),
    "objects of the server": (
        "import gc, socket\ngc.unfreeze()\n"
        "for s in [o for o in gc.get_objects() if isinstance(o, socket.socket)]:\n    s.send(b'x')\n    print('ESCAPED')",
        {REFUSED, OK, ERROR},
    ),
    "standard output closed": ("import os, sys\nos.close(1)\nprint('lost')", {OK, ERROR}),
    "the report's descriptor closed": ("import os\nos.close(3)\nwhile True: pass", {CRASHED, TIMEOUT}),
    "forged success": (
        "import json, os\nr = json.dumps({'status': 'ok', 'stdout': 'forged'}).encode()\n"
        "os.write(3, len(r).to_bytes(4, 'big') + r)\n1 / 0",
        {OK, ERROR, CRASHED},
    ),
    "wait to be forked": ("import socket\nsocket.recv_fds(socket.socket(fileno=3), 1, 2)", {TIMEOUT, ERROR, REFUSED}),
    "exit hook that raises": ("import atexit\natexit.register(lambda: 1 / 0)", {OK}),
    "trace function": ("import sys\nsys.settrace(lambda *a: 1 / 0)\ndef f(): pass\nf()", {ERROR, OK}),
    "audit hook": ("import sys\nsys.addaudithook(lambda *a: 1 / 0)\nprint('on')", {OK, ERROR, CRASHED}),
    "generator that never ends": (
        "def g():\n    while True:\n        try: yield\n        except GeneratorExit: continue\ni = g()\nnext(i)",
        {OK, ERROR, TIMEOUT},
    ),
}

PROGRAMS: dict[str, tuple[str, set[Status]]] = {
    **{f"{kind}: {name}": (code, {OK, ERROR, REFUSED, CRASHED, TIMEOUT, MEMORY})
       for kind, group in (("processes", PROCESSES), ("signals", SIGNALS), ("kernel", KERNEL), ("network", NETWORK), ("files", FILES))
       for name, code in group.items()},
    **{f"resources: {name}": program for name, program in RESOURCES.items()},
    **{f"tricks: {name}": program for name, program in TRICKS.items()},
}  # fmt: skip
"""Name: the program, and the statuses that it may end with."""
