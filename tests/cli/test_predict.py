"""The command `dualgan`: all that it needs is a student's folder."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dualgan_jax.cli import main
from dualgan_jax.student import student
from tests.student.test_student import IMAGE, LABELS, write_program, write_toy
from tests.trials import fuzz_students


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
  assert main.main(['info', folder]) == 0
  said = capsys.readouterr().out
  assert 'labels: a, b, c' in said
  assert 'images: 8×8×1' in said
  assert 'kind conv' in said
  assert 'experiment toy' in said


def test_predict_prints_a_table(folder, pictures, capsys):
  assert main.main(['predict', folder, str(pictures / 'a.png')]) == 0
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
  assert main.main(['predict', '--json', folder, str(pictures)]) == 1
  said = capsys.readouterr()
  rows = [json.loads(x) for x in said.out.splitlines()]
  assert [x['image'] for x in rows] == [
    str(pictures / f'{name}.png') for name in 'abc'
  ]
  assert all(set(x['probabilities']) == set(LABELS) for x in rows)
  assert said.err.startswith(f'{pictures / "notes.txt"}: skipped, no image')


def test_who_reads_may_stop_early(folder, pictures):
  program = 'from dualgan_jax.cli import main; raise SystemExit(main.main())'
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
  assert main.main(['predict', '--top=5', folder, path]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 3
  assert lines[0].count('label') == len(LABELS)


def test_an_image_too_large_to_be_true_is_skipped(
  folder, pictures, monkeypatch, capsys
):
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 40)  # a.png has 64
  path = str(pictures / 'b.png')  # 180: more than twice as many
  assert main.main(['predict', folder, path]) == 2
  assert f'{path}: skipped, no image' in capsys.readouterr().err


def test_a_name_that_the_system_refuses_is_skipped(folder, pictures, capsys):
  path = str(pictures / 'a.png')
  assert main.main(['predict', folder, 'a' * 300, path]) == 1
  assert 'aaa: skipped, no image' in capsys.readouterr().err


def test_nothing_to_read_is_an_error(folder, tmp_path, capsys):
  assert main.main(['predict', folder, str(tmp_path / 'none.png')]) == 2
  assert 'error: no image could be read' in capsys.readouterr().err


def test_no_student_is_one_sentence(tmp_path, capsys):
  assert main.main(['info', str(tmp_path)]) == 2
  said = capsys.readouterr().err
  assert said.startswith(f'error: {tmp_path}: no folder of a student')
  assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
  'arguments',
  [['predict'], ['info', 'a', 'b'], ['predict', '--top=0', 'a', 'b']],
)
def test_wrong_arguments_are_exit_code_2(arguments, capsys):
  with pytest.raises(SystemExit) as e:
    main.main(arguments)
  assert e.value.code == 2
  assert '_' not in capsys.readouterr().err.splitlines()[-1]


# What trains, draws or downloads; none of it is needed to use a student.
_NOT_IMPORTED = {
  *('torch', 'tensorboardX', 'tensorboard', 'matplotlib', 'orbax', 'optax'),
  *('huggingface_hub', 'sklearn', 'pandas', 'datasets', 'tqdm'),
  *(
    'ml_collections',
    'markdown_it',
    'pydantic',
    'onnx',
    'onnxruntime',
    'tensorflow',
  ),
}


@pytest.mark.parametrize(
  'command',
  [
    'import dualgan_jax',
    'import dualgan_jax; dualgan_jax.load({folder!r})',
    'from dualgan_jax import __main__; __main__.main()',
  ],
)
@pytest.mark.parametrize('write', [write_toy, write_program])
def test_nothing_is_imported_that_only_training_needs(
  write, command, tmp_path, pictures
):
  folder = str(write(tmp_path / 'student'))
  program = (
    f'import sys; {command.format(folder=folder)}; '
    'print(*{x.partition(".")[0] for x in sys.modules})'
  )
  done = subprocess.run(
    [sys.executable, '-c', program, 'predict', folder, pictures / 'a.png'],
    capture_output=True,
    text=True,
    check=True,
  )
  found = set(done.stdout.splitlines()[-1].split())
  assert not found & _NOT_IMPORTED
  assert 'numpy' in found or 'load' not in command


def test_what_others_have_named_is_one_harmless_line(
  tmp_path, pictures, capsys
):
  folder = fuzz_students.original('student', tmp_path)
  for field in (('origin', 'experiment'), ('net', 'kind'), ('answers',)):
    if field != ('net', 'kind'):
      fuzz_students.with_value(folder, field, 'x\x1b[2J\nerror: forged')
  assert main.main(['info', str(folder)]) == 0
  said = capsys.readouterr().out
  assert '\x1b' not in said
  assert len(said.splitlines()) == 5
  assert r'experiment x\x1b[2J\nerror: forged' in said

  path = pictures / 'a\x1b[2J\nerror: forged.png'
  (pictures / 'a.png').rename(path)
  assert main.main(['predict', str(folder), str(path)]) == 0
  assert len(capsys.readouterr().out.splitlines()) == 3
  assert main.main(['predict', '--json', str(folder), str(path)]) == 0
  said = capsys.readouterr().out
  assert said.isascii() and len(said.splitlines()) == 1
  assert json.loads(said)['image'] == str(path)

  path.write_text('no image')
  assert main.main(['predict', str(folder), str(path)]) == 2
  for line in capsys.readouterr().err.splitlines():
    assert line.startswith(('error: no image', str(pictures)))
    assert line.isprintable()
  assert main.main(['info', 'no\n\x1bfolder']) == 2
  assert capsys.readouterr().err.startswith(r'error: no\n\x1bfolder: no folder')
