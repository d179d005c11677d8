"""Folders and objects of KerasHub, read by the tables of the zoo's families."""
