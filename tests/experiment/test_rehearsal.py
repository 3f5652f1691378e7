"""What only the last stage needs is found missing before the first trains."""

import sys

import pytest
from jax import export
from matplotlib.figure import Figure

from dualgan_jax.errors import UserError
from dualgan_jax.experiment import rehearsal

LABELS = ('cat', 'dog')


def _fail(*_, **__):
  raise ImportError("Please install 'flatbuffers'\nin order to go on")


def test_nothing_is_left_behind(tmp_path):
  rehearsal.check_last_stage(tmp_path, LABELS)
  assert list(tmp_path.iterdir()) == []


def test_a_student_that_may_not_be_replaced_is_found_first(tmp_path):
  (tmp_path / 'student').mkdir()
  (tmp_path / 'student' / 'README.md').write_text('mine')
  with pytest.raises(UserError, match='student: not replaced, .*README.md'):
    rehearsal.check_last_stage(tmp_path, LABELS)


def test_existing_folders_stay(tmp_path):
  (tmp_path / 'rehearsal' / 'branched').mkdir(parents=True)
  rehearsal.check_last_stage(tmp_path, LABELS)
  assert (tmp_path / 'rehearsal' / 'branched').exists()


@pytest.mark.parametrize(
  ('owner', 'name', 'failure'),
  [
    (Figure, 'savefig', 'pictures cannot be drawn'),
    (export.Exported, 'serialize', 'the student cannot be written'),
  ],
)
def test_what_fails_is_one_sentence(
  tmp_path, monkeypatch, owner, name, failure
):
  monkeypatch.setattr(owner, name, _fail)
  with pytest.raises(UserError) as error:
    rehearsal.check_last_stage(tmp_path, LABELS)
  assert str(error.value) == (
    f'evaluate: {failure} on this machine (ImportError: Please install '
    "'flatbuffers'); install dualgan_jax again, with all that it needs."
  )
  assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_not_there_is_named(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'dualgan_jax.reporting.metrics', None)
  monkeypatch.delattr('dualgan_jax.reporting.metrics', raising=False)
  with pytest.raises(UserError, match='cannot be computed .*reporting.metrics'):
    rehearsal.check_last_stage(tmp_path, LABELS)


def test_letters_that_the_font_lacks_are_reported_once(tmp_path, capsys):
  rehearsal.check_last_stage(tmp_path, ('猫', 'dog'))
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith('evaluate: pictures have a box in place of each 猫;')
