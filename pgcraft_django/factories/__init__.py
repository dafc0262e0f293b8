"""Factories: abstract models that decide the physical shape of a model. One file each."""
