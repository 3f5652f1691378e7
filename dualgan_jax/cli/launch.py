"""Launches a command: errors as one sentence, other processes, compiled code.

Exit codes: 0 done, 2 something to put right, 3 a training that cannot go on, 75
ended by SIGTERM where nothing trained, or interrupted and saved, 130 ended at
once: by Ctrl-C where nothing trained, or by a second signal.
"""

import hashlib
import importlib.metadata
import logging
import os
import pathlib
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

import jax
from absl import flags
from absl import logging as absl_logging

import dualgan_jax
from dualgan_jax import errors
from dualgan_jax.cli import (
  cpu_devices,
  experiment_flags,
  help_pages,
  signals,
)
from dualgan_jax.cli.experiment_flags import (
  CONFIG,
  LOG_LEVEL,
  MULTIHOST,
  QUIET,
  WORKDIR,
)
from dualgan_jax.display import describe_end, printable
from dualgan_jax.multihost import cluster, meeting, peers
from dualgan_jax.stdout import printing
from dualgan_jax.training import parallel

# Packages whose versions may change the numbers that a process computes.
_NUMERIC_PACKAGES = (
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'orbax-checkpoint',
  'numpy',
)
# The most that compiled programs take on disk; those used last stay.
_MAX_CACHE_BYTES = 2**30


def launch(
  argv: Sequence[str],
  run_command: Callable[[], str],
  usage: str,
  *,
  needs_workdir: bool = True,
) -> None:
  """Parses flags, runs a command and prints its output.

  Args:
    argv: the program's name and its arguments.
    run_command: does the command's work, and returns text to print; it reads
      its flags itself.
    usage: text of `--help`, with `{program}` to be filled in.
    needs_workdir: whether --workdir is required.

  Raises:
    SystemExit: something went wrong, and one sentence on stderr says what; the
      exit codes stand at the top of this module.
  """
  try:
    help_page = help_pages.find_page(argv, usage)
    if help_page is not None:
      with printing():
        print(help_page)
      return
    positional_arguments = experiment_flags.parse(argv)
  except errors.UserError as error:
    _exit(str(error), error.exit_code)
  run(
    positional_arguments,
    run_command,
    needs_workdir=needs_workdir,
    command_line=f'{argv[0]} {shlex.join(argv[1:])}',
  )


def run(
  positional_arguments: Sequence[str],
  run_command: Callable[[], str],
  *,
  needs_workdir: bool = True,
  command_line: str = '',
) -> None:
  """Runs a command whose flags are parsed, and prints its output.

  Args:
    positional_arguments: the program's name and the arguments that are no
      flags, which are an error.
    run_command: see `launch`.
    needs_workdir: whether --workdir is required.
    command_line: the command that goes on with the same work when this one is
      interrupted; '' prints none.

  Raises:
    SystemExit: see `launch`.
  """
  absl_logging.set_verbosity(absl_logging.WARNING)
  log_level = 'warning' if QUIET.value else LOG_LEVEL.value
  logging.getLogger(dualgan_jax.__name__).setLevel(log_level.upper())
  # Until a training loop installs its handlers, there is nothing to save.
  signals.exit_on_signals()
  _use_compilation_cache()
  run_peers = None  # the other processes of a multi-host run
  try:
    _check_arguments(positional_arguments, needs_workdir)
    if MULTIHOST.value:
      run_peers = _meet_peers()
    elif needs_workdir:
      cpu_devices.use_cores(CONFIG.value, WORKDIR.value)
    # Without any device it raises an error of one sentence.
    parallel.check_shares(parallel.choose_devices())
    output = run_command()
    if output and parallel.is_first():
      with printing():
        print(output)
    if run_peers:
      run_peers.wait_for_all_done()

  # Errors with a sentence of their own.
  except errors.InterruptedRun as interrupt:
    _exit(str(interrupt), interrupt.exit_code, run_peers, command_line)
  except (errors.UserError, errors.TrainingError) as error:
    if run_peers and isinstance(error, errors.PeerError):
      run_peers.end_if_peer_ended()  # the other process's sentence says more
    _exit(str(error), error.exit_code, run_peers)
  except KeyboardInterrupt as interrupt:
    # `_raise_interrupt` gives the signal's number, Python's handler nothing.
    is_sigterm = bool(interrupt.args)
    exit_code = errors.InterruptedRun.exit_code if is_sigterm else 130
    _exit(signals.STOPPED_MESSAGE, exit_code, run_peers, command_line)

  # Bugs: alone, a process may end with Python's traceback; with others, it
  # has to tell them that it ends.
  except (Exception, SystemExit) as error:
    if not run_peers:
      raise
    if isinstance(error, jax.errors.JaxRuntimeError):
      # A computation of all processes fails where one of them has gone.
      run_peers.end_if_peer_ended()
    traceback.print_exc()
    _exit(
      f'{type(error).__name__}: {errors.first_line(error)}',
      errors.TrainingError.exit_code,
      run_peers,
    )


def _check_arguments(
  positional_arguments: Sequence[str], needs_workdir: bool
) -> None:
  """Checks that only flags are there, and that required ones are.

  Raises:
    UserError: an argument is no flag, or a required flag is missing or empty.
  """
  if positional_arguments[1:]:
    raise errors.UserError(
      f'{positional_arguments[1]}: not a flag; flags look like --workdir=DIR.'
    )
  for required_flag in (CONFIG, WORKDIR) if needs_workdir else (CONFIG,):
    if required_flag.value in (None, ''):
      raise errors.UserError(f'--{required_flag.name}: missing; see --help.')


def _meet_peers() -> peers.Peers:
  """Meets the other processes of the run, and connects JAX with them."""
  # `exit_on_signals` would end this process without a word to the others.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  signal.signal(signal.SIGTERM, _raise_interrupt)
  run_cluster = cluster.find()
  connections = meeting.meet(run_cluster, _collect_facts())
  run_peers = peers.Peers(run_cluster, connections)
  cluster.connect(run_cluster)
  return run_peers


def _raise_interrupt(signal_number, frame):
  raise KeyboardInterrupt(signal_number)


def _use_compilation_cache() -> None:
  """Makes JAX store compiled programs on disk: the next start compiles nothing.

  They lie in $JAX_COMPILATION_CACHE_DIR, else in the user's cache folder.
  """
  if jax.config.jax_compilation_cache_dir is None:
    cache_root = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    # A run without a cache is slow, and no error.
    try:
      cache_folder = pathlib.Path(cache_root, 'dualgan_jax', 'xla').expanduser()
      cache_folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
      return
    if not os.access(cache_folder, os.W_OK):
      return
    _remove_unfinished_programs(cache_folder)
    jax.config.update('jax_compilation_cache_dir', str(cache_folder))
    # A folder that the user has named may hold files that we must not delete.
    jax.config.update('jax_compilation_cache_max_size', _MAX_CACHE_BYTES)
  # Another process may just have removed a file; the program is compiled then.
  warnings.filterwarnings(
    'ignore', 'Error (read|writ)ing persistent compilation cache'
  )
  # By default JAX stores only programs that take a second to compile.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)


def _remove_unfinished_programs(cache_folder: pathlib.Path) -> None:
  """Removes programs whose time of use was not written: a kill came between.

  JAX would store no other program beside one of these.
  """
  for program_file in cache_folder.glob('*-cache'):
    time_file = program_file.with_name(
      program_file.name.removesuffix('-cache') + '-atime'
    )
    if not time_file.exists():
      program_file.unlink(missing_ok=True)


def _collect_facts() -> dict[str, str]:
  """Collects, by name, facts that all processes of a run must agree on."""
  package_folder = pathlib.Path(dualgan_jax.__file__).parent
  code_digest = hashlib.sha256()
  for path in sorted(package_folder.rglob('*.py')):
    relative_path = path.relative_to(package_folder)
    code_digest.update(f'{relative_path}\n'.encode() + path.read_bytes())
  facts = {'the code of dualgan_jax': code_digest.hexdigest()[:12]}
  for package in _NUMERIC_PACKAGES:
    facts[package] = importlib.metadata.version(package)

  # Flags of absl itself, such as that of verbosity, may differ.
  for module_name, module_flags in flags.FLAGS.flags_by_module_dict().items():
    if not module_name.startswith('absl'):
      facts |= {
        f'--{flag.name}': str(flag.value)
        for flag in module_flags
        if flag.name.partition('.')[0] != CONFIG.name
      }

  # The config is compared field by field: its file may lie elsewhere.
  config_values = CONFIG.value.copy_and_resolve_references().to_dict()
  for key_path, value in jax.tree_util.tree_leaves_with_path(
    config_values, is_leaf=lambda node: not isinstance(node, dict) or not node
  ):
    field_path = jax.tree_util.keystr(key_path, simple=True, separator='.')
    facts[f'--config.{field_path}'] = repr(value)
  return facts


def _exit(
  sentence: str,
  exit_code: int,
  run_peers: peers.Peers | None = None,
  command_line: str = '',
) -> NoReturn:
  """Prints one sentence, tells it to other processes, and exits."""
  if run_peers:
    run_peers.end_all(sentence, exit_code)
  print(describe_end(sentence, exit_code), file=sys.stderr)
  # Of several hosts, all need their command again.
  if command_line:
    print(f'  {printable(command_line)}', file=sys.stderr)
  sys.exit(exit_code)
