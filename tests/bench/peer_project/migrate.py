"""Write the migration against an empty database, and run it in another: `python migrate.py <URL> <URL>`.

The other has tables of ours. What is not declared here is not to be looked at, or it would be dropped.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config


def main(empty: str, database: str) -> None:
    """Do both."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("sqlalchemy.url", empty)
    command.revision(config, message="first", autogenerate=True)
    config.set_main_option("sqlalchemy.url", database)
    command.upgrade(config, "head")


main(*sys.argv[1:])
