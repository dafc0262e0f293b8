"""What projects test their API and its rules with, against a real PostgreSQL and a real PostgREST.

live_api()                  serves the test database with PostgREST
LiveAPITestCase             the same for `manage.py test`; pytest has the fixture `live_api`
as_role()                   Django's queries with the rights of a request
assert_policy_isolates()    no request reads or changes what another one sees
assert_no_drift()           the test database is what the migrations say
"""

from pgcraft_django.request_role import as_role
from pgcraft_django.testing.drift import assert_no_drift
from pgcraft_django.testing.isolation import assert_policy_isolates
from pgcraft_django.testing.live import LiveAPI, LiveAPITestCase, live_api

__all__ = ["LiveAPI", "LiveAPITestCase", "as_role", "assert_no_drift", "assert_policy_isolates", "live_api"]
