"""The models of the benchmark with pgcraft for SQLAlchemy. Run by its own Python, never imported by ours."""

from pgcraft.alembic.register import pgcraft_alembic_hook, pgcraft_configure_metadata

pgcraft_alembic_hook()  # before anything is declared

from pgcraft import construct_pgcraft_naming_conventions_dict  # noqa: E402
from pgcraft.config import PGCraftConfig  # noqa: E402
from pgcraft.ext.postgrest import PostgRESTPlugin  # noqa: E402
from pgcraft.factory.dimension.append_only import PGCraftAppendOnly  # noqa: E402
from pgcraft.factory.dimension.eav import PGCraftEAV  # noqa: E402
from pgcraft.factory.ledger import PGCraftLedger  # noqa: E402
from pgcraft.plugins.ledger import LedgerBalanceCheckPlugin  # noqa: E402
from pgcraft.plugins.snapshot import LedgerSnapshotPlugin  # noqa: E402
from sqlalchemy import UUID, Boolean, Column, Date, Integer, MetaData, Numeric, Text  # noqa: E402

TABLES, API = "peer_private", "peer"

ATTRIBUTES = {
    "text": (6, Text()),
    "number": (5, Integer()),
    "amount": (4, Numeric(12, 4)),
    "flag": (2, Boolean()),
    "day": (2, Date()),
    "code": (1, UUID()),
}
DIMENSIONS = ["warehouse", "sku"]

metadata = MetaData(naming_convention=construct_pgcraft_naming_conventions_dict())

PGCraftAppendOnly(
    "items",
    TABLES,
    metadata,
    [
        Column("reference", UUID),
        Column("name", Text, nullable=False),
        Column("city", Text, nullable=False),
        Column("amount", Numeric(12, 2)),
        Column("number", Integer, nullable=False),
        Column("is_active", Boolean, nullable=False),
    ],
    extra_plugins=[PostgRESTPlugin(schema=API)],
)
PGCraftEAV(
    "products",
    TABLES,
    metadata,
    [Column(f"{kind}_{number}", type_) for kind, (count, type_) in ATTRIBUTES.items() for number in range(count)],
)
PGCraftLedger(
    "inventory",
    TABLES,
    metadata,
    [Column(name, Text, nullable=False) for name in DIMENSIONS],
    extra_plugins=[
        LedgerBalanceCheckPlugin(dimensions=DIMENSIONS, min_balance=0),
        LedgerSnapshotPlugin(dimensions=DIMENSIONS),
        PostgRESTPlugin(schema=API),
    ],
)
pgcraft_configure_metadata(metadata, PGCraftConfig())
