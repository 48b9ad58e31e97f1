"""Vendors and runtimes behind one small protocol, one file each, loaded when first used."""
