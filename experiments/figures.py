"""Draws the method, README's badges, and accuracy over time.

python -m experiments.figures

writes them to `docs/figures/`.
"""

import configparser
import json
import pathlib
import re

from experiments import learning_curves, overview, svg

_ROOT = pathlib.Path(__file__).parents[1]
FOLDER = _ROOT / 'docs' / 'figures'
# Of `experiments.accuracy_over_time`, one per training.
CURVES_FOLDER = _ROOT / 'experiments' / 'curves'
_TITLE = (
  'Random noise enters a generator, which makes images. Frozen teachers label '
  'them. The generator learns to make images that the teachers recognise. The '
  'student learns to answer as the teachers do, and becomes the TargetNet.'
)


def _note(x: float, y: float, words: str) -> str:
  """Writes what is learned, beside a dashed arrow."""
  return svg.text(x, y, words, 'learn_words', 'start')


def draw_method() -> str:
  """Draws the method, as SVG."""
  shapes = [
    svg.box(20, 195, 90, 60, 'box', 'Noise', 'random'),
    svg.box(150, 195, 110, 60, 'generator', 'Generator', 'trained'),
    svg.box(300, 195, 110, 60, 'box', 'Images', 'generated'),
    # The teachers, in a frame, and what they are needed for.
    svg.box(450, 40, 170, 154, 'box'),
    svg.box(460, 50, 150, 60, 'teacher', 'Teacher A', 'cat, dog · frozen'),
    svg.box(460, 124, 150, 60, 'teacher', 'Teacher B', 'cow, hen · frozen'),
    svg.box(460, 270, 150, 60, 'student', 'Student', 'cat, dog, cow, hen'),
    # What comes out.
    svg.text(765, 92, 'TargetNet: what you keep', 'words" font-weight="600'),
    svg.box(
      *(670, 110, 190, 78, 'box', 'Branched'),
      *('student’s first blocks,', 'teachers’ last blocks'),
    ),
    svg.box(670, 270, 190, 60, 'student', 'Compact', 'the student alone'),
    # Images flow to the right, and so does what is kept.
    svg.arrow([(110, 225), (148, 225)], 'flow'),
    svg.arrow([(260, 225), (298, 225)], 'flow'),
    svg.arrow([(410, 216), (430, 216), (430, 117), (448, 117)], 'flow'),
    svg.arrow([(410, 234), (430, 234), (430, 300), (458, 300)], 'flow'),
    svg.arrow([(620, 136), (668, 136)], 'flow'),
    svg.arrow([(610, 290), (640, 290), (640, 172), (668, 172)], 'flow'),
    svg.arrow([(610, 306), (668, 306)], 'flow'),
    # Answers flow back, and are learned from.
    svg.arrow([(450, 64), (205, 64), (205, 193)], 'learn'),
    _note(160, 36, '1  The generator learns to make images'),
    _note(160, 54, 'that the teachers recognise'),
    svg.arrow([(535, 194), (535, 268)], 'learn'),
    _note(545, 236, '2  answers'),
    _note(20, 300, '2  The student learns, block by block, to answer'),
    _note(20, 318, 'as the teachers do. No step uses a real image.'),
  ]
  return svg.document(880, 356, _TITLE, shapes)


def draw_badges() -> dict[str, str]:
  """Draws what `setup.cfg` says of Python, JAX and the licence.

  Returns:
    By the file's name, SVG.
  """
  setup = configparser.ConfigParser()
  setup.read(_ROOT / 'setup.cfg', encoding='utf-8')
  versions = re.findall(r'3\.\d+', setup['metadata']['classifiers'])
  requirements = setup['options']['install_requires']
  oldest_jax = re.search(r'^jax>=(.+)$', requirements, re.MULTILINE)[1]
  facts = {
    'Python': f'{versions[0]} – {versions[-1]}',
    'JAX': f'{oldest_jax} or later',
    'Licence': setup['metadata']['license'],
  }
  return {
    f'{name.lower()}.svg': svg.badge(name, fact) for name, fact in facts.items()
  }


def draw_curves(folder: pathlib.Path = CURVES_FOLDER) -> dict[str, str]:
  """Draws accuracy over time, a figure per experiment.

  Args:
    folder: holds what `experiments.accuracy_over_time` wrote.

  Returns:
    By the file's name, SVG.
  """
  curves: dict[str, list[dict]] = {}
  for path in sorted(folder.glob('*.json')):
    curve = json.loads(path.read_text(encoding='utf-8'))
    curves.setdefault(curve['experiment'], []).append(curve)
  return {
    f'{name}_curves.svg': learning_curves.draw(
      overview.TASKS.get(name, name), of_task
    )
    for name, of_task in curves.items()
  }


def draw_all() -> dict[str, str]:
  """Draws everything, by the file's name."""
  return {'method.svg': draw_method(), **draw_badges(), **draw_curves()}


def main() -> None:
  """Writes all figures."""
  for name, figure in draw_all().items():
    (FOLDER / name).write_text(figure, encoding='utf-8')


if __name__ == '__main__':
  main()
