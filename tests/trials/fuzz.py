"""Feeds damaged and hostile files to their readers, and counts the faults.

    python -m tests.trials.fuzz [NAME ...] [--budget=N] [--seed=0]

tries each fuzzer's number of files, or N of them. A file is to give what it
says, or a `UserError` of one line, within 2 seconds of CPU time and 300 MB more
memory (images 1,000); all else is a failure. Files that fail are kept, and
their places printed.

A fuzzer is a row of `FUZZERS`: a function `(random, folder) -> Trial`.
"""

import argparse
import dataclasses
import pathlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from tests.trials import (
  fuzz_exports,
  fuzz_images,
  fuzz_safetensors,
  fuzz_students,
  fuzz_weights,
)
from tests.trials.fuzz_weights import Trial

_MAX_SECONDS = 2  # of CPU time for one file
_HANG_SECONDS = 30  # after which a reader is stopped


@dataclasses.dataclass(frozen=True)
class Fuzzer:
  """A way to damage files.

  Attributes:
    make_trial: writes one file into a folder, and returns how to try it.
    budget: number of files that the command tries.
    max_memory: megabytes that reading one file may take.
  """

  make_trial: Callable[[random.Random, pathlib.Path], Trial]
  budget: int
  max_memory: int = 300


FUZZERS = {
  'torch_files': Fuzzer(fuzz_weights.torch_file_trial, 12_000),
  'torch_exports': Fuzzer(fuzz_exports.export_trial, 4_000),
  'safetensors': Fuzzer(fuzz_safetensors.safetensors_trial, 6_000),
  'students': Fuzzer(fuzz_students.student_trial, 2_000),
  # An image of as many pixels as are allowed takes most of it.
  'images': Fuzzer(fuzz_images.image_trial, 8_000, max_memory=1_000),
}


def iterate_failures(
  name: str, budget: int, seed: int, folder: pathlib.Path
) -> Iterator[tuple[pathlib.Path, str]]:
  """Tries files, and iterates over those that fail, with the faults.

  Args:
    name: a key of `FUZZERS`.
    budget: number of files.
    seed: seed of the random numbers.
    folder: folder for the files; a file that fails stays there.
  """
  numbers = random.Random(f'{name} {seed}')
  for number in range(budget):
    trial = FUZZERS[name].make_trial(numbers, folder)
    fault = _find_fault(trial, FUZZERS[name].max_memory)
    if fault is not None:
      stored_path = folder / f'{name}-{number}{trial.path.suffix}'
      copy = shutil.copytree if trial.path.is_dir() else shutil.copy
      copy(trial.path, stored_path)
      yield stored_path, fault


def _find_fault(trial, max_memory):
  """Tries one file; returns None if it is read right, or refused rightly."""
  memory, start = _peak_memory(), time.process_time()
  try:
    signal.alarm(_HANG_SECONDS)
    trial.check()
  except UserError as error:
    if str(error) != printable(error):
      return f'more than one line: {error!r}'
  except Exception as error:
    return f'{type(error).__name__}: {error}'[:300]
  finally:
    signal.alarm(0)
  seconds = time.process_time() - start
  if seconds > _MAX_SECONDS:
    return f'{seconds:.1f} s'
  more_memory = _peak_memory() - memory
  return f'{more_memory} MB more' if more_memory > max_memory else None


def _peak_memory():
  """Returns the most memory that this process has had, in MB."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _raise_timeout(*_):
  raise TimeoutError('it hangs')


def main() -> None:
  """Tries files of each fuzzer, and prints how many failed."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('names', nargs='*', metavar='NAME', default=[*FUZZERS])
  parser.add_argument('--budget', type=int, help='of each, instead of its own')
  parser.add_argument('--seed', type=int, default=0)
  arguments = parser.parse_args()
  if unknown := {*arguments.names} - {*FUZZERS}:
    parser.error(f'no such fuzzer: {", ".join(sorted(unknown))}')
  signal.signal(signal.SIGALRM, _raise_timeout)
  num_failed = 0
  for name in arguments.names:
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f'fuzz-{name}-'))
    budget = arguments.budget or FUZZERS[name].budget
    num_faults = 0
    for path, fault in iterate_failures(name, budget, arguments.seed, folder):
      num_faults += 1
      print(f'{path}: {fault}', flush=True)
    print(f'{name}: tried {budget:,}, failed {num_faults:,}', flush=True)
    num_failed += num_faults
  sys.exit(num_failed > 0)


if __name__ == '__main__':
  main()
