"""What a dump has is what comes back, the log included, and nothing is logged twice."""

from tests.eav.catalogue import declare
from tests.eav.conftest import Shop
from tests.eav.test_values import EXACT
from tests.support.dumps import assert_survives_dump


def test_entities_and_their_log_survive_a_dump(place: Shop) -> None:
    place.site.migrate(place.world.evolve(lambda apps: declare(apps, extra=True)))
    place.rows("ProductExtra").create(name="zeal", type="integer")
    tools = place.rows("Category").create(name="tools")
    first = place.rows().create(sku="a", category=tools, extra={"zeal": 1}, **EXACT)
    place.rows().create(sku="b", parent=first, price="1.50", weight=1)
    place.rows().filter(sku="a").update(color=None, extra={"zeal": 2})
    place.rows().create(sku="gone").delete()
    place.rows("Line").create(product=first)
    tables = ["categories", "lines", "products", "products_entity", "products_attribute", "products_extra"]
    # The lines of an order come before the products that they refer to.
    assert_survives_dump(place.site, tables, restoring="--single-transaction")
