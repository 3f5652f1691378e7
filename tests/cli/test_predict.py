"""`dualgan info` and `predict`: a student's folder is all that they need."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dualgan_jax.cli import main
from dualgan_jax.student import student
from tests.student.test_student import (
  IMAGE,
  LABELS,
  NET,
  write_program,
  write_toy,
)
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


def test_info_shows_labels_images_net_and_origin(folder, capsys):
  assert main.main(['info', folder]) == 0
  stdout = capsys.readouterr().out
  assert 'labels: a, b, c' in stdout
  assert 'images: 8×8×1' in stdout
  assert 'kind conv' in stdout
  assert 'experiment toy' in stdout


def test_predict_prints_a_table(folder, pictures, capsys):
  assert main.main(['predict', folder, str(pictures / 'a.png')]) == 0
  head, _, row = capsys.readouterr().out.splitlines()
  assert head.split('|')[1].strip() == 'image'
  cells = [cell.strip() for cell in row.split('|')[1:-1]]
  with Image.open(pictures / 'a.png') as image:
    pixels = np.asarray(image).reshape(1, *IMAGE)
  probabilities = student.load(folder).predict(pixels)[0]
  best = int(probabilities.argmax())
  assert cells[:3] == [
    str(pictures / 'a.png'),
    LABELS[best],
    f'{probabilities[best]:.4f}',
  ]


def test_a_folder_gives_a_line_per_picture_and_names_the_rest(
  folder, pictures, capsys
):
  assert main.main(['predict', '--json', folder, str(pictures)]) == 0
  captured = capsys.readouterr()
  answers = [json.loads(line) for line in captured.out.splitlines()]
  assert [answer['image'] for answer in answers] == [
    str(pictures / f'{name}.png') for name in 'abc'
  ]
  for answer in answers:
    assert set(answer['probabilities']) == set(LABELS)
  assert captured.err.startswith(f'{pictures / "notes.txt"}: skipped, no image')


def test_a_damaged_image_in_a_folder_is_an_exit_code(folder, pictures, capsys):
  damaged = pictures / 'a.png'
  damaged.write_bytes(damaged.read_bytes()[:50])
  assert main.main(['predict', folder, str(pictures)]) == 1
  assert f'{damaged}: skipped, no image (' in capsys.readouterr().err


def test_a_file_that_was_named_must_be_an_image(folder, pictures):
  paths = [str(pictures / name) for name in ('a.png', 'notes.txt')]
  assert main.main(['predict', folder, *paths]) == 1


def test_a_run_stands_for_its_student(tmp_path, folder, pictures, capsys):
  (tmp_path / 'config.json').write_text('{}')  # as a run has it
  path = str(pictures / 'a.png')
  assert main.main(['predict', str(tmp_path), path]) == 0
  of_run = capsys.readouterr().out
  assert main.main(['predict', folder, path]) == 0
  assert capsys.readouterr().out == of_run
  assert main.main(['info', str(tmp_path)]) == 0


def test_folders_in_folders_are_searched_on_request(folder, pictures, capsys):
  inner = pictures / 'inner'
  inner.mkdir()
  (pictures / 'a.png').rename(inner / 'a.png')
  for flags, names in (
    ((), ['b.png', 'c.png']),
    (('--recursive',), ['b.png', 'c.png', 'inner/a.png']),
  ):
    assert main.main(['predict', '--csv', *flags, folder, str(pictures)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'image,a,b,c'
    assert [line.split(',')[0] for line in lines[1:]] == [
      str(pictures / name) for name in names
    ]


def test_csv_has_all_probabilities(folder, pictures, capsys):
  path = str(pictures / 'a,b".png')
  (pictures / 'a.png').rename(path)
  assert main.main(['predict', '--csv', folder, path]) == 0
  _, row = csv.reader(capsys.readouterr().out.splitlines())
  assert row[0] == path
  np.testing.assert_allclose(
    np.float64(row[1:]), student.load(folder).predict(path)[0], rtol=1e-5
  )


def test_an_image_may_come_on_standard_input(
  folder, pictures, capsys, monkeypatch
):
  with (pictures / 'a.png').open('rb') as file:
    monkeypatch.setattr('sys.stdin', io.TextIOWrapper(file))
    assert main.main(['predict', '--csv', folder, '-']) == 0
  name, *probabilities = capsys.readouterr().out.splitlines()[1].split(',')
  assert name == '-'
  expected = student.load(folder).predict(pictures / 'a.png')[0]
  np.testing.assert_allclose(np.float64(probabilities), expected, rtol=1e-5)


def test_labels_above_a_half_are_counted(tmp_path, pictures, capsys):
  folder = write_toy(tmp_path / 'student')
  path = str(pictures / 'a.png')
  probabilities = student.load(folder).predict(path)
  count = int(np.sum(probabilities > 0.5))
  for bias, text in ((0, str(count or 'none')), (-9, 'none'), (9, '3')):
    fuzz_students.change_tensor(
      folder, 'head/params/Dense_0/bias', lambda leaf, bias=bias: leaf + bias
    )
    assert main.main(['predict', str(folder), path]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert head.split('|')[-2].strip() == 'above 0.5'
    assert row.split('|')[-2].strip() == text
    fuzz_students.change_tensor(
      folder, 'head/params/Dense_0/bias', lambda leaf, bias=bias: leaf - bias
    )


def test_labels_that_exclude_one_another_are_not_counted(
  tmp_path, pictures, capsys
):
  folder = write_toy(tmp_path / 'one', {**NET, 'single_label': True})
  assert main.main(['predict', str(folder), str(pictures / 'a.png')]) == 0
  assert 'above' not in capsys.readouterr().out


def test_more_images_than_a_batch_keep_their_order(
  folder, tmp_path, capsys, monkeypatch
):
  path = tmp_path / 'all'
  path.mkdir()
  for value in range(0, 70):
    Image.new('L', (8, 8), 3 * value).save(path / f'{value:02}.png')
  assert main.main(['predict', '--csv', folder, str(path)]) == 0
  _, *rows = csv.reader(capsys.readouterr().out.splitlines())
  expected = student.load(folder).predict(
    np.stack([np.full(IMAGE, 3 * value, np.uint8) for value in range(70)])
  )
  np.testing.assert_allclose(
    np.float64([row[1:] for row in rows]), expected, rtol=1e-5
  )


def test_images_of_16_bits_are_told(folder, tmp_path, capsys):
  values = np.full((8, 8), 2048, np.uint16)
  paths = [str(tmp_path / name) for name in ('a.tif', 'b.tif')]
  for path in paths:
    Image.fromarray(values).save(path, tiffinfo={281: 4095})
  assert main.main(['predict', '--csv', folder, *paths]) == 0
  captured = capsys.readouterr()
  assert captured.err == (
    f'{paths[0]}: 16 bits per pixel, read with 0 as black and 4095 as white '
    '(images read so: 2)\n'
  )
  expected = student.load(folder).predict(np.full((1, *IMAGE), 128, np.uint8))
  row = captured.out.splitlines()[1].split(',')
  np.testing.assert_allclose(np.float64(row[1:]), expected[0], rtol=1e-5)


def test_a_reader_may_stop_early(folder, pictures):
  program = 'from dualgan_jax.cli import main; raise SystemExit(main.main())'
  command = (
    f"{sys.executable} -c '{program}' predict {folder} {pictures}/a.png"
    ' | head -0; exit ${PIPESTATUS[0]}'
  )
  process = subprocess.run(
    ['bash', '-c', command], capture_output=True, text=True, check=False
  )
  assert process.returncode == 0
  assert 'Broken' not in process.stderr


def test_top_may_exceed_the_number_of_labels(folder, pictures, capsys):
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
  stderr = capsys.readouterr().err
  assert stderr.startswith(f'error: {tmp_path}: no folder of a student')
  assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize(
  'arguments',
  [
    ['predict'],
    ['info', 'a', 'b'],
    ['predict', '--top=0', 'a', 'b'],
    ['predict', '--json', '--csv', 'a', 'b'],
  ],
)
def test_wrong_arguments_are_exit_code_2(arguments, capsys):
  with pytest.raises(SystemExit) as error:
    main.main(arguments)
  assert error.value.code == 2
  stderr = capsys.readouterr().err
  assert stderr.startswith('error: ')
  # The function that checks --top is no name for a user.
  assert '_' not in stderr.splitlines()[-1]


# Packages that train, draw or download, which a student needs not.
_TRAINING_PACKAGES = {
  *('torch', 'tensorboardX', 'tensorboard', 'matplotlib', 'orbax', 'optax'),
  *('huggingface_hub', 'sklearn', 'pandas', 'datasets', 'tqdm'),
  *(
    'ml_collections',
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
    'print(*{name.partition(".")[0] for name in sys.modules})'
  )
  process = subprocess.run(
    [sys.executable, '-c', program, 'predict', folder, pictures / 'a.png'],
    capture_output=True,
    text=True,
    check=True,
  )
  imported_packages = set(process.stdout.splitlines()[-1].split())
  assert not imported_packages & _TRAINING_PACKAGES
  assert 'numpy' in imported_packages or 'load' not in command


def test_texts_of_a_foreign_student_are_one_harmless_line(
  tmp_path, pictures, capsys
):
  folder = fuzz_students.copy_original('student', tmp_path)
  for field in (('origin', 'experiment'), ('net', 'kind'), ('answers',)):
    if field != ('net', 'kind'):
      fuzz_students.set_value(folder, field, 'x\x1b[2J\nerror: forged')
  assert main.main(['info', str(folder)]) == 0
  stdout = capsys.readouterr().out
  assert '\x1b' not in stdout
  assert len(stdout.splitlines()) == 5
  assert r'experiment x\x1b[2J\nerror: forged' in stdout

  path = pictures / 'a\x1b[2J\nerror: forged.png'
  (pictures / 'a.png').rename(path)
  assert main.main(['predict', str(folder), str(path)]) == 0
  assert len(capsys.readouterr().out.splitlines()) == 3
  assert main.main(['predict', '--json', str(folder), str(path)]) == 0
  stdout = capsys.readouterr().out
  assert stdout.isascii() and len(stdout.splitlines()) == 1
  assert json.loads(stdout)['image'] == str(path)

  path.write_text('no image')
  assert main.main(['predict', str(folder), str(path)]) == 2
  for line in capsys.readouterr().err.splitlines():
    assert line.startswith(('error: no image', str(pictures)))
    assert line.isprintable()
  assert main.main(['info', 'no\n\x1bfolder']) == 2
  assert capsys.readouterr().err.startswith(r'error: no\n\x1bfolder: no folder')
