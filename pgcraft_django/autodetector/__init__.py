"""How plain `makemigrations` finds objects.

`detector` is the mixin that does it all in Django's autodetector, and `wiring` hooks it into the commands. `diff`
compares what is recorded with what is declared, and `placing` puts the outcome among Django's own operations, with
dependencies of the kind `after`. `defaults`, `views`, `kept` and `remade` see to defaults, to models whose relation is
a view, to logs that stay, and to constraints and indexes over columns that change their type; `in_place` puts
operations of ours in the place of Django's; `questions` spares the user those about companion models; `tables` reads
migration states. `aside` is for `migrate`: what other packages' migrations would run into.
"""
