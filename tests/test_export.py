"""Exported students answer as the live one does."""

import json
import subprocess
import sys

import jax
import numpy as np
import onnxruntime
import pytest
from jax import export as jax_export

from dualgan_jax import export, student
from dualgan_jax.errors import UserError
from tests.test_student import IMAGE, LABELS, NET, write_toy

# jax2onnx meets what JAX is about to take away.
pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture(scope='module', params=[False, True], ids=['many', 'one'])
def folder(tmp_path_factory, request):
  """A student's folder with all formats; of many labels, or one per image."""
  net = {**NET, 'single_label': request.param}
  path = write_toy(tmp_path_factory.mktemp('run') / 'student', net)
  for form in export.FORMATS:
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
  monkeypatch.setitem(
    export.FORMATS,
    'stablehlo',
    lambda own, path: lambda images: own.predict(images) + 0.25,
  )
  found = export.write(student.load(path), path, 'stablehlo')
  np.testing.assert_allclose(found, 0.25, rtol=1e-5)


def test_without_the_extra_there_is_a_cure(folder, monkeypatch):
  monkeypatch.setitem(sys.modules, 'jax2onnx', None)
  with pytest.raises(UserError, match=r"jax2onnx; pip install '\.\[export\]'"):
    export.write(student.load(folder), folder, 'onnx')


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


def test_a_folder_that_cannot_be_copied_says_what_of_it(tmp_path):
  folder = write_toy(tmp_path / 'student')
  (folder / 'notes').symlink_to('nowhere')
  output = f'--output={tmp_path / "new"}'
  done = _command(f'--workdir={tmp_path}', '--format=stablehlo', output)
  assert done.returncode == 2
  assert f'{tmp_path / "new"} cannot be made (' in done.stderr
  assert f'{folder / "notes"}' in done.stderr
  assert len(done.stderr.splitlines()) == 1


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
    (('--fomat=onnx',), "error: Unknown command line flag 'fomat'"),
    (('--workdir=nowhere',), '--format: missing; name some of stablehlo'),
    (
      ('--workdir=nowhere', '--format=onnx'),
      '--workdir: there is no nowhere/student; name',
    ),
    (('--workdir=x', '--format=pickle'), "'pickle' is none of stablehlo, onnx"),
    (('--workdir=x', 'onnx'), 'onnx: not a flag'),
  ],
)
def test_wrong_flags_are_named(flags, said):
  done = _command(*flags)
  assert done.returncode == 2
  assert said in done.stderr
  assert len(done.stderr.splitlines()) == 1
