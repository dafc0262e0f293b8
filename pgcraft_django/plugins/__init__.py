"""Plugins: values in `PGCraft.plugins` that add something to one model. One file each."""
