"""Every test sees 8 simulated CPU devices."""

import os
import pathlib
import subprocess
import sys

# Tests run each program a few times only: compiling it well is not worth it.
# Fusion emitters and parallel code generation take most of the time for it.
_FLAGS = (
  '--xla_backend_optimization_level=0',
  '--xla_cpu_use_fusion_emitters=false',
  '--xla_cpu_parallel_codegen_split_count=1',
)


def _accepted(flags):
  """Whether this jaxlib knows all flags: it ends a process at any other."""
  started = subprocess.run(
    [sys.executable, '-c', 'import jax; jax.devices("cpu")'],
    env={**os.environ, 'XLA_FLAGS': ' '.join(flags)},
    capture_output=True,
    check=False,
  )
  return started.returncode == 0


# Workers and the programs that tests start take over what was found out once.
if 'PYTEST_XDIST_WORKER' not in os.environ:
  if not _accepted(_FLAGS):
    _FLAGS = [flag for flag in _FLAGS if _accepted([flag])]
  os.environ['XLA_FLAGS'] = ' '.join(_FLAGS)
# ... nor is compiling the same program twice, in whichever process.
_CACHE = pathlib.Path(__file__).parents[1] / '.pytest_cache' / 'xla'
os.environ['JAX_COMPILATION_CACHE_DIR'] = str(_CACHE)
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
os.environ['JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES'] = '-1'

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update('jax_num_cpu_devices', 8)
# A forgotten axis must not broadcast its way through a test.
jax.config.update('jax_numpy_rank_promotion', 'raise')

# No test is judged by its time, and the same examples come each time.
hypothesis.settings.register_profile('ours', deadline=None, derandomize=True)
hypothesis.settings.load_profile('ours')


@pytest.fixture(autouse=True, scope='module')
def _forget_programs():
  """Frees memory: XLA crashed once, compiling late in a long-lived process."""
  yield
  jax.clear_caches()
