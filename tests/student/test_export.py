"""Exported students answer as the live one does."""

import hashlib
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from jax import export as jax_export

from dualgan_jax.errors import UserError
from dualgan_jax.student import export, student
from tests.paths import ROOT
from tests.student.test_student import IMAGE, LABELS, NET, write_toy

_FORMATS = tuple(export.FORMATS)


@pytest.fixture(scope='module', params=[False, True], ids=['many', 'one'])
def folder(tmp_path_factory, request):
  """A student's folder with all formats; of many labels, or one per image."""
  net = {**NET, 'single_label': request.param}
  path = write_toy(tmp_path_factory.mktemp('run') / 'student', net)
  for format_name in _FORMATS:
    assert export.write(student.load(path), path, format_name) < 1e-5
  return path


def _images(num_images):
  random_generator = np.random.default_rng(num_images)
  return random_generator.integers(0, 256, (num_images, *IMAGE), dtype=np.uint8)


@pytest.mark.parametrize('num_images', [1, 7])
def test_stablehlo_answers_any_number_of_images(folder, num_images):
  images = _images(num_images)
  model_bytes = bytearray((folder / 'model.stablehlo').read_bytes())
  model = jax_export.deserialize(model_bytes)
  assert model.platforms == ('cpu', 'cuda', 'tpu')
  probabilities = jax.jit(model.call)(images)
  expected = student.load(folder).predict(images)
  np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_documented_code_reads_stablehlo(folder, monkeypatch):
  page = (ROOT / 'docs' / 'student.md').read_text()
  code = re.search(r'### StableHLO\n.*?```python\n(.*?)```', page, re.DOTALL)[1]
  monkeypatch.chdir(folder)
  names = {'images': _images(3)}
  exec(code, names)
  expected = student.load(folder).predict(names['images'])
  np.testing.assert_allclose(names['probabilities'], expected, atol=1e-5)


def test_stablehlo_of_a_fixed_number_of_images_takes_no_other(tmp_path):
  path = write_toy(tmp_path / 'student')
  options = export.ExportOptions(batch_size=2)
  assert export.write(student.load(path), path, 'stablehlo', options) < 1e-5
  model_bytes = bytearray((path / 'model.stablehlo').read_bytes())
  model = jax_export.deserialize(model_bytes)
  assert [array.shape for array in model.in_avals] == [(2, *IMAGE)]
  assert model.call(_images(2)).shape == (2, len(LABELS))
  with pytest.raises(ValueError, match='shape'):
    model.call(_images(3))


def test_a_difference_is_measured(folder, tmp_path, monkeypatch):
  path = write_toy(tmp_path / 'student')

  def write(live_student, path, options):
    path.write_bytes(b'model')
    return lambda images: live_student.predict(images) + 0.25

  monkeypatch.setitem(export.FORMATS, 'stablehlo', write)
  difference = export.write(student.load(path), path, 'stablehlo')
  np.testing.assert_allclose(difference, 0.25, rtol=1e-5)


def test_without_the_extra_there_is_a_cure(folder, monkeypatch):
  monkeypatch.setitem(sys.modules, 'onnx', None)
  with pytest.raises(
    UserError, match=r"onnx; pip install 'dualgan_jax\[export\]'"
  ):
    export.write(student.load(folder), folder, 'onnx')


def _contents(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def _command(*flags):
  return subprocess.run(
    [sys.executable, '-m', 'experiments.export', *flags],
    capture_output=True,
    text=True,
    check=False,
  )


def test_the_command_writes_to_a_new_folder_and_prints_the_difference(tmp_path):
  write_toy(tmp_path / 'student')
  output = tmp_path / 'new'
  flags = (f'--workdir={tmp_path}', '--format=stablehlo', f'--output={output}')
  done = _command(*flags)
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith(f'{output}/model.stablehlo: within ')
  assert sorted(path.name for path in output.iterdir()) == [
    'README.md',
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


def test_an_unfinished_copy_with_files_of_others_is_not_replaced(tmp_path):
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


def test_a_failed_export_leaves_the_folder_as_it_was(
  folder, tmp_path, monkeypatch
):
  path = write_toy(tmp_path / 'student')
  (path / 'model.stablehlo').write_bytes(b'of before')
  before = _contents(path)

  def fail(live_student, path, options):
    path.write_bytes(b'half')
    raise KeyboardInterrupt

  monkeypatch.setitem(export.FORMATS, 'stablehlo', fail)
  with pytest.raises(KeyboardInterrupt):
    export.write(student.load(path), path, 'stablehlo')
  assert _contents(path) == before


def test_an_export_has_its_digest_and_the_student_still_loads(folder):
  for name, digest in student.load(folder).config['sha256'].items():
    file_bytes = (folder / name).read_bytes()
    assert hashlib.sha256(file_bytes).hexdigest() == digest
  files = {path.name for path in folder.iterdir()}
  assert {f'model.{format_name}' for format_name in _FORMATS} <= files


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
    output, errors = process.communicate()
  if not output:  # else it was done already
    assert errors == 'stopped; the same command starts again\n'
    assert process.returncode == code
  assert student.load(tmp_path / 'student')


def test_a_format_that_fails_leaves_no_folder(tmp_path):
  write_toy(tmp_path / 'student')
  output = tmp_path / 'new'
  program = (
    'import runpy, sys; sys.modules["onnx"] = None; '
    'runpy.run_module("experiments.export", run_name="__main__")'
  )
  flags = (f'--workdir={tmp_path}', '--format=onnx', f'--output={output}')
  done = subprocess.run(
    [sys.executable, '-c', program, *flags],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert "pip install 'dualgan_jax[export]'" in done.stderr
  assert not output.exists()


@pytest.mark.parametrize(
  ('flags', 'message'),
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
    (('--batch=0',), 'argument --batch: 0, but it must be 1 or more'),
    (('--opset=x',), 'argument --opset: x, but it must be 1 or more'),
  ],
)
def test_wrong_flags_are_named(flags, message):
  done = _command(*flags)
  assert done.returncode == 2
  assert message in done.stderr
  assert len(done.stderr.splitlines()) == 1
