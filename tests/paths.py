"""Where the repository and the files that tests read lie."""

import pathlib

ROOT = pathlib.Path(__file__).parents[1]
FILES = pathlib.Path(__file__).with_name('files')
