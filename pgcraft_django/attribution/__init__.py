"""Who changes rows, and why: said in Python, and told to PostgreSQL, which writes it into its logs.

`context` is what a program says, `teller` tells it on each connection, and `statements` knows what need not be told.
`acting` notes as which role a connection acts.
"""
