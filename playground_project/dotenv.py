"""The secrets of this machine's playground: random, made once, kept in `.env`, which is never committed."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path


def add_missing_secrets(path: Path, *names: str) -> None:
    """Append a random value to `path` for each name that neither it nor the environment has.

    Two starts at once may both append; the first line of a name is the one that counts, for both.
    A folder that cannot be written to is left alone: the values then come from the environment.
    """
    text = path.read_text() if path.exists() else ""
    known = {*os.environ, *re.findall(r"^\s*(?:export\s+)?(\w+)\s*=", text, re.MULTILINE)}
    lines = [f"{name}={secrets.token_urlsafe(32)}" for name in names if name not in known]
    if not lines:
        return
    start = "" if not text or text.endswith("\n") else "\n"
    with suppress(OSError), open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as file:
        os.chmod(path, 0o600)
        file.write(start + "".join(f"{line}\n" for line in lines))
