"""What the child runs first: `python launch.py PARENT PROGRAM`, which becomes PROGRAM.

On Linux the kernel ends the program when its parent dies, even by SIGKILL, so that no orphan keeps the
port. It is a program of its own because code between fork and exec is unsafe in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, program = int(sys.argv[1]), sys.argv[2]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the program would inherit that
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before it could be watched
        sys.exit(1)
    os.execv(program, [program])  # noqa: S606 - the program the project has chosen
