"""Paths of the repository and of the files that tests read."""

import pathlib

ROOT = pathlib.Path(__file__).parents[1]
FILES = pathlib.Path(__file__).with_name('files')
