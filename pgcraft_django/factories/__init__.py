"""Factories: abstract models that decide the physical shape of a model. One file or folder each.

`base` is what they share. `companion` makes the models beside a model, `guard` the triggers that let nobody change
rows, `actor` says who and why in SQL, `fixtures` lets rows come back as they were, `foreign_key` leads to views too,
and `admin` is what their admin classes have in common. `simple` is the factory that adds nothing.
"""
