"""Tries the project in environments made from its files; see CONTRIBUTING.md.

`nox -l` lists them, `nox -s NAME` runs one.
"""

import configparser
import pathlib
import re
import subprocess

import nox

_ROOT = pathlib.Path(__file__).parent
_PYTHONS = ('3.11', '3.12', '3.13', '3.14')
_PYTEST = ('python', '-m', 'pytest', '-n', '2', '--dist', 'loadfile')

nox.options.sessions = ['base', 'docs', 'wheel', 'newest']


def _newest_python() -> str:
  """Finds the newest Python of this machine that there are packages for."""
  for version in reversed(_PYTHONS):
    try:
      subprocess.run(
        [f'python{version}', '--version'], check=True, capture_output=True
      )
    except (OSError, subprocess.CalledProcessError):
      continue
    return version
  raise SystemExit('error: this machine has no Python from 3.11 to 3.14.')


def _first_command() -> str:
  """Reads README's first command."""
  readme = (_ROOT / 'README.md').read_text(encoding='utf-8')
  block = r'<!-- command: run -->\n```bash\n(.+?)\n```'
  return re.search(block, readme, re.DOTALL)[1]


@nox.session(venv_backend='none')
def base(session: nox.Session) -> None:
  """Runs README's first command in a fresh clone, with no extra installed."""
  clone = session.create_tmp() + '/clone'
  session.run('rm', '-rf', clone, external=True)
  session.run('git', 'clone', '-q', str(_ROOT), clone, external=True)
  session.chdir(clone)
  # Neither this environment nor a cache may help out.
  outside = {'PYTHONPATH': None, 'XLA_FLAGS': None, 'VIRTUAL_ENV': None}
  session.run('bash', '-euc', _first_command(), external=True, env=outside)
  for result in ('results.json', 'report.html', 'student', 'branched'):
    if not pathlib.Path('runs/digits', result).exists():
      session.error(f'README’s first command left no {result}')
  for folder in ('student', 'branched'):
    folder = f'runs/digits/{folder}'
    picture = 'runs/digits/evaluate/samples.png'
    session.run('.venv/bin/dualgan', 'info', folder, external=True)
    session.run('.venv/bin/dualgan', 'predict', folder, picture, external=True)


@nox.session(python='3.11')
def docs(session: nox.Session) -> None:
  """Builds the site, where every link must lead somewhere."""
  setup = configparser.ConfigParser()
  setup.read(_ROOT / 'setup.cfg', encoding='utf-8')
  # The site is made from text: nothing that the package needs is installed.
  packages = setup['options.extras_require']['docs'].split()
  session.install('-q', '-c', str(_ROOT / 'requirements.txt'), *packages)
  session.chdir(_ROOT)
  # mkdocs-material would advertise another program, in red.
  session.run('mkdocs', 'build', env={'NO_MKDOCS_2_WARNING': '1'})


@nox.session(python='3.11')
def notebooks(session: nox.Session) -> None:
  """Runs the notebooks anew, and stores what they print and plot."""
  pins = str(_ROOT / 'requirements.txt')
  session.install('-q', '-c', pins, '-e', f'{_ROOT}[torch,docs]')
  elsewhere = session.create_tmp()
  session.run('rm', '-rf', f'{elsewhere}/runs', external=True)
  for notebook in sorted((_ROOT / 'docs' / 'notebooks').glob('*.ipynb')):
    session.run('cp', str(notebook), elsewhere, external=True)
    place = f'{elsewhere}/{notebook.name}'
    session.run(
      *('jupyter', 'nbconvert', '--to', 'notebook', '--execute', '--inplace'),
      *('--ExecutePreprocessor.record_timing=False', place),
    )
    # Whoever reads it has another folder.
    text = pathlib.Path(place).read_text(encoding='utf-8')
    folder = str(pathlib.Path(elsewhere).resolve())
    notebook.write_text(text.replace(folder, '/home/me'), encoding='utf-8')


@nox.session(python='3.11')
def wheel(session: nox.Session) -> None:
  """Installs a wheel, and uses it in a folder that is no checkout."""
  elsewhere = pathlib.Path(session.create_tmp())
  session.run('rm', '-rf', f'{elsewhere}/dist', f'{elsewhere}/run')
  session.run(
    *('pip', 'wheel', '-q', '--no-deps', '-w', f'{elsewhere}/dist', str(_ROOT))
  )
  (built,) = (elsewhere / 'dist').glob('*.whl')
  session.install('-q', '-c', str(_ROOT / 'requirements.txt'), str(built))
  session.chdir(elsewhere)
  # A user's own package of this name must not get in the way.
  pathlib.Path('experiments').mkdir(exist_ok=True)
  pathlib.Path('experiments/__init__.py').write_text('raise ValueError\n')
  session.run('python', str(_ROOT / 'tests' / 'installed.py'))
  session.run('dualgan', 'train', '--config=digits:smoke', '--workdir=run')
  picture = 'run/evaluate/samples.png'
  for folder in ('run/student', 'run/branched'):
    session.run('dualgan', 'info', folder)
    session.run('dualgan', 'predict', folder, picture)


@nox.session(python=_newest_python())
def newest(session: nox.Session) -> None:
  """Runs the tests with the newest Python, and the newest packages for it."""
  session.install('-q', '-e', '.[test]')
  session.run(*_PYTEST, *session.posargs)


@nox.session(python='3.11')
def oldest(session: nox.Session) -> None:
  """Runs the tests with the oldest packages that setup.cfg allows."""
  session.install('-q', 'uv')
  session.run(
    *('uv', 'pip', 'install', '--resolution=lowest-direct', '-e', '.[test]')
  )
  # Old packages warn of what the newest of those below them call deprecated.
  session.run(*_PYTEST, '-W', 'default', *session.posargs)


@nox.session(python=_PYTHONS)
@nox.parametrize('packages', ['pinned', 'newest'])
def tests(session: nox.Session, packages: str) -> None:
  """Runs the tests with one Python, and pinned or newest packages."""
  pins = ('-c', 'requirements.txt') if packages == 'pinned' else ()
  session.install('-q', *pins, '-e', '.[test]')
  session.run(*_PYTEST, *session.posargs)


# The oldest onnxruntime that pip has for Python 3.11, which needs NumPy 1; the
# oldest that works with NumPy 2; the newest.
_ONNX_RUNTIMES = (
  ('onnxruntime==1.15.0', 'numpy<2'),
  ('onnxruntime==1.19.0', 'numpy>=2'),
  ('onnxruntime',),
)
_WEB_RUNTIMES = ('1.17.0', 'latest')  # of npm's onnxruntime-web


@nox.session(python='3.11')
def runtimes(session: nox.Session) -> None:
  """Runs ONNX models in old and new runtimes, those of browsers under node."""
  trials = _ROOT / 'tests' / 'trials'
  models = f'{session.create_tmp()}/models'
  session.run('rm', '-rf', models, external=True)
  session.run('mkdir', models, external=True)
  session.install('-q', '-c', str(_ROOT / 'requirements.txt'), '-e', '.[test]')
  session.run('python', '-m', 'tests.trials.onnx_models', models)
  for packages in _ONNX_RUNTIMES:
    session.install('-q', *packages)
    session.run('python', str(trials / 'onnx_answers.py'), models)
  for version in _WEB_RUNTIMES:
    place = f'{session.create_tmp()}/{version}'
    session.run(
      *('npm', 'install', '--silent', '--prefix', place),
      f'onnxruntime-web@{version}',
      external=True,
    )
    package = f'{place}/node_modules/onnxruntime-web'
    script = str(trials / 'onnx_answers.mjs')
    session.run('node', script, models, package, external=True)
