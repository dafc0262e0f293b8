"""What Alembic asks for."""

from alembic import context
from models import metadata
from pgcraft.alembic.register import pgcraft_process_revision_directives, pgcraft_render_item
from sqlalchemy import create_engine

with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        process_revision_directives=pgcraft_process_revision_directives,
        render_item=pgcraft_render_item,
    )
    with context.begin_transaction():
        context.run_migrations()
