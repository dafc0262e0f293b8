"""How plain `makemigrations` finds objects.

`diff` compares what is recorded with what is declared, `placing` puts the outcome among Django's own operations,
`defaults` keeps defaults out of their way, `tables` reads migration states, `detector` is the mixin that does it all
in Django's autodetector, `wiring` hooks it into the commands.
"""
