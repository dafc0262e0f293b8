"""An app whose rows have histories, for what needs Django's own apps beside it: the admin, and people who log in."""
