"""PostgREST from Django's settings.

    binary.py      find the program and learn its version
    config.py      settings -> PostgREST's configuration
    versions.py    the same in the words of that version
    login.py       how the authenticator logs in to Django's database
    preflight.py   what is wrong, said in plain words before anything is started
    server.py      the program as a child process
    launch.py      what the child runs first, so that it never outlives its parent
    client.py      requests to the running API
    reload.py      tell a running server that the schema has changed

PostgREST gets its configuration through its environment alone: no file is written, and neither the
process list nor a log shows a secret.
"""
