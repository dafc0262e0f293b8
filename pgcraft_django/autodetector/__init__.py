"""How plain `makemigrations` finds objects.

`diff` compares what is recorded with what is declared, `detector` puts the outcome among Django's own operations,
`tables` reads migration states, `wiring` hooks it all into the commands.
"""
