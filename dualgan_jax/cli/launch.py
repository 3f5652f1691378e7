"""Does a command's work: errors as one sentence, peers, compiled programs.

Exit codes: 0 done, 2 something to put right, 3 a training that cannot go on, 75
ended by SIGTERM where nothing trained, or interrupted and saved, 130 ended at
once: by Ctrl-C where nothing trained, or by a second signal.
"""

import hashlib
import importlib.metadata
import os
import pathlib
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

import jax
from absl import flags, logging

import dualgan_jax
from dualgan_jax import errors
from dualgan_jax.cli import experiment_flags, help_pages, signals
from dualgan_jax.cli.experiment_flags import CONFIG, MULTIHOST, WORKDIR
from dualgan_jax.display import printable
from dualgan_jax.multihost import cluster, meeting, peers
from dualgan_jax.stdout import printing
from dualgan_jax.training import parallel

# Of other versions they could compute something else.
_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
# What compiled programs may take on disk; those used last stay.
_COMPILED_BYTES = 2**30


def launch(
  argv: Sequence[str],
  work: Callable[[], str],
  usage: str,
  *,
  needs_workdir: bool = True,
) -> None:
  """Parses flags, and prints what `work` returns; else leaves with a sentence.

  Args:
    argv: the program's name and its arguments.
    work: what the command does; it finds its values in its flags.
    usage: text of `--help`, with `{program}` to be filled in.
    needs_workdir: whether --workdir must be given.

  Raises:
    SystemExit: with the exit codes that stand above.
  """
  try:
    page = help_pages.find(argv, usage)
    if page is not None:
      with printing():
        print(page)
      return
    arguments = experiment_flags.parse(argv)
  except errors.UserError as e:
    _leave(str(e), e.exit_code)
  call(arguments, work, needs_workdir=needs_workdir)


def call(
  argv: Sequence[str], work: Callable[[], str], *, needs_workdir: bool = True
) -> None:
  """Does a command's work, once its flags are parsed; see `launch`."""
  logging.set_verbosity(logging.WARNING)
  # Where nothing trains, there is nothing to save first.
  signals.exit_on_signals()
  _keep_compiled()
  run_peers = None  # the other processes of this run
  try:
    if argv[1:]:
      raise errors.UserError(
        f'{argv[1]}: not a flag; flags look like --workdir=DIR.'
      )
    for flag in (CONFIG, WORKDIR) if needs_workdir else (CONFIG,):
      if flag.value in (None, ''):
        raise errors.UserError(f'--{flag.name}: missing; see --help.')
    if MULTIHOST.value:
      # The others have to hear of it.
      signal.signal(signal.SIGINT, signal.default_int_handler)
      signal.signal(signal.SIGTERM, _interrupt)
      place = cluster.find()
      run_peers = peers.Peers(place, meeting.meet(place, _facts()))
      cluster.connect(place)
    # Says in a sentence that there are none.
    parallel.check_shares(parallel.choose_devices())
    text = work()
    if text and parallel.is_first():
      with printing():
        print(text)
    if run_peers:
      run_peers.wait_for_all_done()
  except (
    errors.UserError,
    errors.TrainingError,
    errors.InterruptedRun,
  ) as e:
    if run_peers and isinstance(e, errors.PeerError):
      run_peers.end_if_peer_ended()  # its sentence says more
    _leave(str(e), e.exit_code, run_peers)
  except KeyboardInterrupt as e:
    code = errors.InterruptedRun.exit_code if e.args else 130
    _leave(signals.STOPPED, code, run_peers)
  except (Exception, SystemExit) as e:
    if not run_peers:
      raise
    if isinstance(e, jax.errors.JaxRuntimeError):
      # A computation of all processes fails where one is gone.
      run_peers.end_if_peer_ended()
    traceback.print_exc()
    _leave(
      f'{type(e).__name__}: {errors.first_line(e)}',
      errors.TrainingError.exit_code,
      run_peers,
    )


def _keep_compiled() -> None:
  """Keeps compiled programs on disk: the next start compiles nothing again.

  They lie in $JAX_COMPILATION_CACHE_DIR, else in the user's cache folder.
  """
  if jax.config.jax_compilation_cache_dir is None:
    home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    try:
      folder = pathlib.Path(home, 'dualgan_jax', 'xla').expanduser()
      folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
      return
    if not os.access(folder, os.W_OK):
      return
    jax.config.update('jax_compilation_cache_dir', str(folder))
    # In a folder that the user has named, what is there is not ours to delete.
    jax.config.update('jax_compilation_cache_max_size', _COMPILED_BYTES)
  # JAX alone would keep only what takes a second to compile.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)


def _interrupt(number, frame):
  raise KeyboardInterrupt(number)


def _facts() -> dict[str, str]:
  """What has to be the same in all processes of a run, by name."""
  ours = pathlib.Path(dualgan_jax.__file__).parent
  code = hashlib.sha256()
  for file in sorted(ours.rglob('*.py')):
    code.update(f'{file.relative_to(ours)}\n'.encode() + file.read_bytes())
  facts = {'the code of dualgan_jax': code.hexdigest()[:12]}
  for package in _PACKAGES:
    facts[package] = importlib.metadata.version(package)
  for module, own in flags.FLAGS.flags_by_module_dict().items():
    if not module.startswith('absl'):
      facts |= {
        f'--{flag.name}': str(flag.value)
        for flag in own
        if flag.name.partition('.')[0] != CONFIG.name
      }
  values = CONFIG.value.copy_and_resolve_references().to_dict()
  for path, value in jax.tree_util.tree_leaves_with_path(
    values, is_leaf=lambda x: not isinstance(x, dict) or not x
  ):
    field = jax.tree_util.keystr(path, simple=True, separator='.')
    facts[f'--config.{field}'] = repr(value)
  return facts


def _leave(
  sentence: str, code: int, run_peers: peers.Peers | None = None
) -> NoReturn:
  if run_peers:
    run_peers.end_all(sentence, code)
  print(f'error: {printable(sentence)}', file=sys.stderr)
  sys.exit(code)
