"""What can never fit is refused before it is tried."""

import jax
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.experiment import memory, run
from dualgan_jax.presets import digits


@pytest.fixture
def small(monkeypatch):
  """A machine of 100 MB."""
  monkeypatch.setattr(memory, 'device_memory', lambda device: 100_000_000)


def _dry_run(tmp_path, **changes):
  config = digits.get_config()
  config.devices = 2
  config.update_from_flattened_dict(
    {name.replace('__', '.'): value for name, value in changes.items()}
  )
  return run.dry_run(config, str(tmp_path))


def test_what_fits_is_let_through(tmp_path, small):
  assert 'teachers' in _dry_run(tmp_path)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    # 300 batches of 1,024 images of 256 bytes are 79 MB.
    (
      {'refine__batch': 1024},
      r'refine: takes 0\.08.* lower refine.replay_buffer',
    ),
    (
      {'generator__widths': (4096, 4096, 16)},
      'generator: takes .* generator.w',
    ),
    ({'student__widths': (16, 2048, 1024)}, 'generator: takes .* student.wid'),
  ],
)
def test_what_can_never_fit_is_one_sentence(tmp_path, small, changes, message):
  with pytest.raises(UserError, match=message) as error:
    _dry_run(tmp_path, **changes)
  # Two devices of a CPU share its memory.
  assert 'on each of 2 devices at least, but there are 0.05 GB' in str(
    error.value
  )


def test_a_student_that_could_not_be_loaded_again_is_refused(tmp_path):
  with pytest.raises(UserError, match='^student: .*`student.widths`'):
    _dry_run(tmp_path, image_shape=(2048, 2048, 1), student__widths=(128, 8, 8))


def test_this_machine_has_memory():
  assert memory.device_memory(jax.devices()[0]) > 10**8
