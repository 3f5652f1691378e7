"""Exported students answer as the live one does."""

import hashlib
import json
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import onnxruntime
import pytest
from jax import export as jax_export

from dualgan_jax.errors import UserError
from dualgan_jax.student import export, student
from tests.student.test_student import IMAGE, LABELS, NET, write_toy

# jax2onnx meets what JAX is about to take away.
pytestmark = pytest.mark.filterwarnings('ignore')
# jax2onnx 0.13 reads what JAX 0.12 has not any more.
_HAS_ONNX = jax.__version_info__ < (0, 12)
_FORMATS = tuple(export.FORMATS) if _HAS_ONNX else ('stablehlo',)
_needs_onnx = pytest.mark.skipif(not _HAS_ONNX, reason='jax2onnx is too old')


@pytest.fixture(scope='module', params=[False, True], ids=['many', 'one'])
def folder(tmp_path_factory, request):
  """A student's folder with all formats; of many labels, or one per image."""
  net = {**NET, 'single_label': request.param}
  path = write_toy(tmp_path_factory.mktemp('run') / 'student', net)
  for form in _FORMATS:
    assert export.write(student.load(path), path, form) < 1e-5
  return path


def _images(n):
  rng = np.random.default_rng(n)
  return rng.integers(0, 256, (n, *IMAGE), dtype=np.uint8)


@pytest.mark.parametrize('n', [1, 7])
def test_stablehlo_answers_any_number_of_images(folder, n):
  content = bytearray((folder / 'model.stablehlo').read_bytes())
  model = jax_export.deserialize(content)
  assert model.platforms == ('cpu', 'cuda', 'tpu')
  found = jax.jit(model.call)(_images(n))
  wanted = student.load(folder).predict(_images(n))
  np.testing.assert_allclose(found, wanted, atol=1e-5)


@_needs_onnx
@pytest.mark.parametrize('n', [1, 7])
def test_onnx_answers_any_number_of_images(folder, n):
  session = onnxruntime.InferenceSession(folder / 'model.onnx')
  (image,) = session.get_inputs()
  assert image.type == 'tensor(uint8)'
  (found,) = session.run(None, {image.name: _images(n)})
  wanted = student.load(folder).predict(_images(n))
  np.testing.assert_allclose(found, wanted, atol=1e-5)
  known = session.get_modelmeta().custom_metadata_map
  assert json.loads(known['labels']) == list(LABELS)


def test_a_difference_is_measured(folder, tmp_path, monkeypatch):
  path = write_toy(tmp_path / 'student')

  def write(own, path):
    path.write_bytes(b'model')
    return lambda images: own.predict(images) + 0.25

  monkeypatch.setitem(export.FORMATS, 'stablehlo', write)
  found = export.write(student.load(path), path, 'stablehlo')
  np.testing.assert_allclose(found, 0.25, rtol=1e-5)


def test_without_the_extra_there_is_a_cure(folder, monkeypatch):
  monkeypatch.setitem(sys.modules, 'jax2onnx', None)
  with pytest.raises(UserError, match=r"jax2onnx; pip install '\.\[export\]'"):
    export.write(student.load(folder), folder, 'onnx')


def test_a_converter_that_is_too_old_is_one_sentence(tmp_path, monkeypatch):
  def fail(*_, **__):
    raise AttributeError(
      "module 'jax._src.core' has no attribute 'ClosedJaxpr'"
    )

  monkeypatch.setattr('jax2onnx.to_onnx', fail)
  path = write_toy(tmp_path / 'student')
  with pytest.raises(UserError, match=r"with JAX .*Closed.*; pip .*'jax<0.12'"):
    export.write(student.load(path), path, 'onnx')


def _command(*flags):
  return subprocess.run(
    [sys.executable, '-m', 'experiments.export', *flags],
    capture_output=True,
    text=True,
    check=False,
  )


def test_the_command_writes_to_a_new_folder_and_says_how_far(tmp_path):
  write_toy(tmp_path / 'student')
  output = tmp_path / 'new'
  flags = (f'--workdir={tmp_path}', '--format=stablehlo', f'--output={output}')
  done = _command(*flags)
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith(f'{output}/model.stablehlo: within ')
  assert sorted(x.name for x in output.iterdir()) == [
    'config.json',
    'model.safetensors',
    'model.stablehlo',
  ]
  assert not (tmp_path / 'student' / 'model.stablehlo').exists()
  done = _command(*flags)
  assert done.returncode == 2
  assert '--output' in done.stderr and 'name a new folder' in done.stderr


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
  folder = write_toy(tmp_path / 'student')
  (folder / 'model.stablehlo').mkdir()
  done = _command(f'--workdir={tmp_path}', '--format=stablehlo')
  assert done.returncode == 2
  assert done.stderr.startswith(f'error: {folder}: cannot be written to (')
  assert len(done.stderr.splitlines()) == 1


def test_only_files_of_the_student_are_copied(tmp_path):
  folder = write_toy(tmp_path / 'student')
  (folder / 'notes').symlink_to('nowhere')
  output = tmp_path / 'new'
  write_toy(tmp_path / 'new.part')  # as an export that was killed leaves it
  flags = (f'--workdir={tmp_path}', '--format=stablehlo', f'--output={output}')
  assert _command(*flags).returncode == 0
  assert not (output / 'notes').is_symlink()
  assert not output.with_name('new.part').exists()


def test_an_unfinished_copy_with_files_of_others_is_left_alone(tmp_path):
  write_toy(tmp_path / 'student')
  output = tmp_path / 'new'
  (tmp_path / 'new.part').mkdir()
  (tmp_path / 'new.part' / 'notes').write_text('mine')
  done = _command(
    f'--workdir={tmp_path}', '--format=stablehlo', f'--output={output}'
  )
  assert done.returncode == 2
  assert f'error: {output}.part: not replaced' in done.stderr
  assert len(done.stderr.splitlines()) == 1


def test_what_fails_leaves_what_was_there(folder, tmp_path, monkeypatch):
  path = write_toy(tmp_path / 'student')
  (path / 'model.stablehlo').write_bytes(b'of before')
  before = {x.name: x.read_bytes() for x in path.iterdir()}

  def fail(own, path):
    path.write_bytes(b'half')
    raise KeyboardInterrupt

  monkeypatch.setitem(export.FORMATS, 'stablehlo', fail)
  with pytest.raises(KeyboardInterrupt):
    export.write(student.load(path), path, 'stablehlo')
  assert {x.name: x.read_bytes() for x in path.iterdir()} == before


def test_an_export_has_its_sum_and_the_student_still_loads(folder):
  for name, digest in student.load(folder).config['sha256'].items():
    found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert found == digest
  written = {x.name for x in folder.iterdir()}
  assert {f'model.{form}' for form in _FORMATS} <= written


@pytest.mark.parametrize(
  ('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 75)]
)
@pytest.mark.parametrize('seconds', [0.2, 0.5])
def test_signals_are_one_line_and_a_code(tmp_path, number, code, seconds):
  write_toy(tmp_path / 'student')
  flags = (f'--workdir={tmp_path}', '--format=stablehlo')
  with subprocess.Popen(
    [sys.executable, '-m', 'experiments.export', *flags],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    time.sleep(seconds)
    process.send_signal(number)
    out, err = process.communicate()
  if not out:  # else it was done already
    assert err == 'error: stopped; the same command starts again\n'
    assert process.returncode == code
  assert student.load(tmp_path / 'student')


def test_a_format_that_fails_leaves_no_folder(tmp_path):
  write_toy(tmp_path / 'student')
  output = tmp_path / 'new'
  without = (
    'import runpy, sys; sys.modules["jax2onnx"] = None; '
    'runpy.run_module("experiments.export", run_name="__main__")'
  )
  flags = (f'--workdir={tmp_path}', '--format=onnx', f'--output={output}')
  done = subprocess.run(
    [sys.executable, '-c', without, *flags],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert "pip install '.[export]'" in done.stderr
  assert not output.exists()


@pytest.mark.parametrize(
  ('flags', 'said'),
  [
    ((), '--workdir: missing'),
    (('--fomat=onnx',), 'error: unrecognized arguments: --fomat=onnx'),
    (('--workdir=nowhere',), '--format: missing; name some of stablehlo'),
    (
      ('--workdir=nowhere', '--format=onnx'),
      '--workdir: there is no nowhere/student; name',
    ),
    (('--workdir=x', '--format=pickle'), "'pickle' is none of stablehlo, onnx"),
    (('--workdir=x', 'onnx'), 'unrecognized arguments: onnx; see'),
  ],
)
def test_wrong_flags_are_named(flags, said):
  done = _command(*flags)
  assert done.returncode == 2
  assert said in done.stderr
  assert len(done.stderr.splitlines()) == 1
