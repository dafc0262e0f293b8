"""Row-level security, declared on models: which rows a request sees, and which it may write.

`claims` is what a request says of itself, `declaration` what a model says, `conditions` and `objects` turn that into
what PostgreSQL enforces, and `companions` does so for histories and logs.
"""

from pgcraft_django.policies.claims import Claim as Claim
from pgcraft_django.policies.declaration import OwnerPolicy as OwnerPolicy
from pgcraft_django.policies.declaration import Policy as Policy
from pgcraft_django.policies.declaration import PublicReadPolicy as PublicReadPolicy
from pgcraft_django.policies.declaration import TenantOwnerPolicy as TenantOwnerPolicy
from pgcraft_django.policies.declaration import TenantPolicy as TenantPolicy

__all__ = ["Claim", "OwnerPolicy", "Policy", "PublicReadPolicy", "TenantOwnerPolicy", "TenantPolicy"]
