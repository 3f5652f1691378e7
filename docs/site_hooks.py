"""Prepares pages for the site: MkDocs calls these functions.

On GitHub a page may link to any file of the repository; a site has only what
lies in `docs/`. So pages from elsewhere are added, and links are turned to
them. Links to code lead into the repository, if `repo_url` is known, and else
become plain text.
"""

import ast
import pathlib
import posixpath
import re

from mkdocs.structure.files import File

_ROOT = pathlib.Path(__file__).parents[1]
_NOTES = 'experiments/notes'
# By its path in the repository, where a page from outside `docs/` is shown.
_PAGES = {
  'README.md': 'readme.md',
  'CHANGELOG.md': 'changelog.md',
  'CONTRIBUTING.md': 'contributing.md',
  **{
    f'{_NOTES}/{path.name}': f'notes/{path.name}'
    for path in sorted((_ROOT / _NOTES).glob('*.md'))
  },
}
_SOURCES = {page: source for source, page in _PAGES.items()}
_NOTES_INDEX = 'notes/index.md'


def on_files(files, config):
  """Adds the pages from outside `docs/`, and an index of the notes."""
  texts = {
    page: (_ROOT / source).read_text(encoding='utf-8')
    for source, page in _PAGES.items()
  }
  names = [path.stem for path in sorted((_ROOT / _NOTES).glob('*.md'))]
  texts[_NOTES_INDEX] = '# How values were chosen\n\n' + '\n'.join(
    f'* [{name}]({name}.md)' for name in names
  )
  for page, text in texts.items():
    files.append(File.generated(config, page, content=text))
  return files


def on_page_markdown(markdown, page, config, files):
  """Turns the links of a page, and adds the reference to the Python API."""
  place = page.file.src_uri
  source = _SOURCES.get(place, f'docs/{place}')

  def turn(match):
    exclamation, text, link = match.groups()
    path, hash_sign, anchor = link.partition('#')
    if '://' in link or not path or place == _NOTES_INDEX:
      return match[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if target == _NOTES:
      target = _NOTES_INDEX
    elif target.startswith('docs/'):
      target = target.removeprefix('docs/')
    elif target in _PAGES:
      target = _PAGES[target]
    elif config.repo_url:
      url = f'{config.repo_url.rstrip("/")}/blob/main/{target}'
      return f'{exclamation}[{text}]({url}{hash_sign}{anchor})'
    else:
      return text
    path = posixpath.relpath(target, posixpath.dirname(place) or '.')
    return f'{exclamation}[{text}]({path}{hash_sign}{anchor})'

  # Blocks of code stay as they are.
  parts = re.split(r'(^```.*?^```)', markdown, flags=re.DOTALL | re.MULTILINE)
  parts[::2] = [
    re.sub(r'(!?)\[([^\]]*)\]\(([^)\s]+)\)', turn, part) for part in parts[::2]
  ]
  markdown = ''.join(parts)
  if place == 'api.md':
    markdown += _format_reference()
  return markdown


def _format_reference() -> str:
  """Lists public names and builders, for mkdocstrings to describe them."""
  init = _parse('dualgan_jax/__init__.py')
  names = next(
    ast.literal_eval(node.value)
    for node in init.body
    if isinstance(node, ast.Assign) and node.targets[0].id == '__all__'
  )
  paths = [f'dualgan_jax.{name}' for name in names if not name.startswith('_')]
  module = 'dualgan_jax.config.builders'
  builders = [
    f'{module}.{node.name}'
    for node in _parse(f'{module.replace(".", "/")}.py').body
    if isinstance(node, ast.FunctionDef) and not node.name.startswith('_')
  ]
  return (
    '\n\n## All names\n\n'
    + '\n\n'.join(f'::: {path}' for path in paths)
    + f'\n\n## What builds a config: `{module}`\n\n'
    + '\n\n'.join(f'::: {path}' for path in builders)
  )


def _parse(path: str) -> ast.Module:
  """Parses a file of the repository."""
  return ast.parse((_ROOT / path).read_text(encoding='utf-8'))
