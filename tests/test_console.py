"""The command `dualgan`: all that it needs is a student's folder."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dualgan_jax import console, student
from tests.test_student import IMAGE, LABELS, write_toy


@pytest.fixture
def folder(tmp_path):
  return str(write_toy(tmp_path / 'student'))


@pytest.fixture
def pictures(tmp_path):
  """Three pictures in a folder, and something that is none."""
  path = tmp_path / 'pictures'
  path.mkdir()
  rng = np.random.default_rng(0)
  for name, shape in (('a', (8, 8)), ('b', (20, 9, 3)), ('c', (8, 8))):
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path / f'{name}.png')
  (path / 'notes.txt').write_text('no picture')
  return path


def test_info_says_what_it_is(folder, capsys):
  assert console.main(['info', folder]) == 0
  said = capsys.readouterr().out
  assert 'labels: a, b, c' in said
  assert 'images: 8×8×1' in said
  assert 'kind conv' in said
  assert 'experiment toy' in said


def test_predict_prints_a_table(folder, pictures, capsys):
  assert console.main(['predict', folder, str(pictures / 'a.png')]) == 0
  head, _, row = capsys.readouterr().out.splitlines()
  assert head.split('|')[1].strip() == 'image'
  cells = [x.strip() for x in row.split('|')[1:-1]]
  with Image.open(pictures / 'a.png') as image:
    pixels = np.asarray(image).reshape(1, *IMAGE)
  wanted = student.load(folder).predict(pixels)[0]
  best = int(wanted.argmax())
  assert cells[:3] == [
    str(pictures / 'a.png'),
    LABELS[best],
    f'{wanted[best]:.4f}',
  ]


def test_a_folder_gives_a_line_per_picture_and_names_the_rest(
  folder, pictures, capsys
):
  assert console.main(['predict', '--json', folder, str(pictures)]) == 1
  said = capsys.readouterr()
  rows = [json.loads(x) for x in said.out.splitlines()]
  assert [x['image'] for x in rows] == [
    str(pictures / f'{name}.png') for name in 'abc'
  ]
  assert all(set(x['probabilities']) == set(LABELS) for x in rows)
  assert said.err.startswith(f'{pictures / "notes.txt"}: skipped, no image')


def test_who_reads_may_stop_early(folder, pictures):
  program = 'from dualgan_jax import console; raise SystemExit(console.main())'
  command = (
    f"{sys.executable} -c '{program}' predict {folder} {pictures}/a.png"
    ' | head -0; exit ${PIPESTATUS[0]}'
  )
  done = subprocess.run(
    ['bash', '-c', command], capture_output=True, text=True, check=False
  )
  assert done.returncode == 0
  assert 'Broken' not in done.stderr


def test_more_labels_than_there_are_may_be_asked_for(folder, pictures, capsys):
  path = str(pictures / 'c.png')
  assert console.main(['predict', '--top=5', folder, path]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 3
  assert lines[0].count('label') == len(LABELS)


def test_an_image_too_large_to_be_true_is_skipped(
  folder, pictures, monkeypatch, capsys
):
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 40)  # a.png has 64
  path = str(pictures / 'b.png')  # 180: more than twice as many
  assert console.main(['predict', folder, path]) == 2
  assert f'{path}: skipped, no image' in capsys.readouterr().err


def test_a_name_that_the_system_refuses_is_skipped(folder, pictures, capsys):
  path = str(pictures / 'a.png')
  assert console.main(['predict', folder, 'a' * 300, path]) == 1
  assert 'aaa: skipped, no image' in capsys.readouterr().err


def test_nothing_to_read_is_an_error(folder, tmp_path, capsys):
  assert console.main(['predict', folder, str(tmp_path / 'none.png')]) == 2
  assert 'error: no image could be read' in capsys.readouterr().err


def test_no_student_is_one_sentence(tmp_path, capsys):
  assert console.main(['info', str(tmp_path)]) == 2
  said = capsys.readouterr().err
  assert said.startswith(f'error: {tmp_path}: no folder of a student')
  assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
  'arguments',
  [[], ['predict'], ['info', 'a', 'b'], ['predict', '--top=0', 'a', 'b']],
)
def test_wrong_arguments_are_exit_code_2(arguments, capsys):
  with pytest.raises(SystemExit) as e:
    console.main(arguments)
  assert e.value.code == 2
  assert '_' not in capsys.readouterr().err.splitlines()[-1]
