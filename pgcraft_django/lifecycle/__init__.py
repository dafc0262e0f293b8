"""What the commands do around migrations: databases and roles that come and go, sample rows, migration files.

Everything here works on one database and the cluster that it is in, and says in plain words what it did.
"""
