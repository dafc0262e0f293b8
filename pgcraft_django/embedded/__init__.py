"""An embedded PostgreSQL for development and tests, shared by all processes that ask for the same data folder.

`start()` creates the cluster if needed, starts its server or joins the one that runs, and takes a lease: a
shared lock that this process keeps until it exits. The last process to leave stops the server. The kernel
frees the locks of a killed process, so nothing here can be left behind that needs a person to clean up.

There is no TCP port. The server listens on a Unix socket in a private folder, where the user `postgres` needs
no password and every other role does.

`binaries` finds PostgreSQL's programs, `account` says under whose name they run, `server` starts, joins and stops,
`locks` lets one do that at a time, and `traces` is what can be seen of a server.
"""

from pgcraft_django.embedded.binaries import available, find_binaries
from pgcraft_django.embedded.server import start, stop
from pgcraft_django.embedded.traces import Server

__all__ = ["Server", "available", "find_binaries", "start", "stop"]
