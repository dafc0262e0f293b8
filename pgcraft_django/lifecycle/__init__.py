"""What the commands do around migrations: databases and roles that come and go, sample rows, migration files.

Everything here works on one database and the cluster that it is in, and says in plain words what it did. `database`
reaches, makes and replaces one, `roles` makes the roles, `script` is both for a DBA, `usage` finds who still uses a
role, `samples` loads sample rows, `wiping` wipes, and `project` knows which apps and files are the project's own.
"""
