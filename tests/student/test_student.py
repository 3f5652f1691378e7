"""A student's folder gives back the student that was written."""

import json

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import dualgan_jax
from dualgan_jax.errors import UserError
from dualgan_jax.networks import classifier
from dualgan_jax.student import student
from dualgan_jax.teachers.preparation import Preparation
from tests.paths import FILES
from tests.trials.fuzz_students import change_tensor

LABELS = ('a', 'b', 'c')
IMAGE = (8, 8, 1)
NET = {
  'kind': 'conv',
  'widths': (4, 5),
  'depths': (1, 2),
  'strides': (2, 1),
  'batch_norm': True,
  'single_label': False,
}


def _variables():
  net = classifier.create(**NET, num_labels=len(LABELS))
  variables = net.init(jax.random.PRNGKey(1), IMAGE)
  # Running averages that are not 0 and 1, as after training.
  x = jax.random.uniform(jax.random.PRNGKey(2), (16, *IMAGE))
  return net.apply(variables, x, train=True)[1]


def write_toy(path, net=NET):
  """A student's folder; other tests have one, too."""
  student.write(
    path,
    _variables(),
    labels=LABELS,
    image_shape=IMAGE,
    net=net,
    origin={'experiment': 'toy'},
  )
  return path


def write_program(path, net=NET):
  """The same student, as if its net could not be described."""
  module = classifier.create(**net, num_labels=len(LABELS))
  student.write_program(
    path,
    lambda variables, x: module.apply(variables, x, train=False)[0],
    _variables(),
    labels=LABELS,
    image_shape=IMAGE,
    net={'kind': 'any', 'single_label': net['single_label']},
    origin={'experiment': 'toy'},
  )
  return path


def test_a_program_that_cannot_be_exported_is_one_sentence(tmp_path):
  def answer(variables, x):
    del variables
    form = jax.ShapeDtypeStruct((len(x), len(LABELS)), np.float32)
    return jax.pure_callback(lambda x: x.mean(axis=(1, 2)), form, x)

  with pytest.raises(UserError, match='cannot be exported for cpu') as error:
    student.write_program(
      tmp_path / 'branched',
      answer,
      {},
      labels=LABELS,
      image_shape=IMAGE,
      net={'single_label': False},
      origin={},
    )
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'branched').exists()


@pytest.fixture(params=[write_toy, write_program])
def folder(request, tmp_path):
  return request.param(tmp_path / 'student')


def _images(*shape):
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, shape, dtype=np.uint8)


def test_it_says_what_the_live_net_says(folder):
  loaded = dualgan_jax.load(folder)
  assert loaded.labels == LABELS
  assert loaded.image_shape == IMAGE
  with pytest.warns(DeprecationWarning, match='image_shape'):
    assert loaded.image == IMAGE
  x = _images(70, *IMAGE)  # more than a batch, and no whole number of them
  net = classifier.create(**NET, num_labels=len(LABELS))
  logits, _ = net.apply(_variables(), x / np.float32(255), train=False)
  actual = loaded.predict(x)
  assert actual.shape == (70, 3)
  np.testing.assert_allclose(actual, jax.nn.sigmoid(logits), atol=1e-6)


def test_images_are_brought_to_its_size_and_channels(folder):
  loaded = student.load(str(folder))
  x = _images(2, 12, 10, 3)
  small = np.asarray(Preparation(IMAGE)(x / np.float32(255)))
  np.testing.assert_allclose(
    loaded.predict(x), loaded.predict(small), atol=1e-6
  )


def test_no_more_images_than_there_are_are_held_at_their_own_size(
  folder, monkeypatch
):
  resize, rows = jax.image.resize, []

  def counted(x, shape, method):
    rows.append(len(x))
    return resize(x, shape, method)

  monkeypatch.setattr(jax.image, 'resize', counted)
  student.load(folder).predict(_images(1, 40, 30, 1))
  assert rows == [1]


def test_no_images_give_no_answers(folder):
  loaded = student.load(folder)
  assert loaded.predict(_images(0, *IMAGE)).shape == (0, 3)
  assert loaded.predict([]).shape == (0, 3)


def test_files_and_images_of_pillow_are_answered_alike(folder, tmp_path):
  loaded, x = student.load(folder), _images(3, *IMAGE)
  opened = [Image.fromarray(one[..., 0]) for one in x]
  paths = [tmp_path / f'{i}.png' for i in range(3)]
  for picture, path in zip(opened, paths, strict=True):
    picture.save(path)
  expected = loaded.predict(x)
  mixed = [x[0], str(paths[1]), opened[2]]
  for images in (opened, paths, list(x), tuple(mixed)):
    np.testing.assert_array_equal(loaded.predict(images), expected)
  for single_image in (paths[0], str(paths[0]), opened[0]):
    np.testing.assert_allclose(
      loaded.predict(single_image), expected[:1], atol=1e-6
    )


def test_images_of_a_list_may_differ(folder):
  loaded = student.load(folder)
  small, large = _images(1, *IMAGE), _images(1, 12, 10, 3) / np.float32(255)
  np.testing.assert_allclose(
    loaded.predict([small[0], large[0]]),
    np.concatenate([loaded.predict(small), loaded.predict(large)]),
    atol=1e-6,
  )
  with pytest.raises(ValueError, match='int32'):
    loaded.predict([small[0], small[0].astype(np.int32)])


def test_a_file_that_is_no_image_is_named(folder, tmp_path):
  (tmp_path / 'x.png').write_text('nothing')
  with pytest.raises(
    UserError, match=r'x\.png: cannot be read as an image .no'
  ):
    student.load(folder).predict([tmp_path / 'x.png'])


def test_it_is_shown_in_a_line(folder):
  shown = repr(student.load(folder))
  count = sum(
    x.size for x in jax.tree.leaves(classifier.split(_variables())[0])
  )
  assert shown == (
    "Student(labels=('a', 'b', 'c'), image_shape=(8, 8, 1), "
    f'{count:,} parameters)'
  )


@pytest.mark.parametrize(
  ('images', 'raised'),
  [
    (_images(8, 8, 1), r'shape \(8, 8, 1\)'),
    (_images(2, 8, 8, 2), '1 or 3'),
    (_images(2, 8, 8, 1).astype(np.int32), 'int32'),
    (np.full((2, 8, 8, 1), 16.0), r'floats from 16 to 16, but'),
    (np.full((2, 8, 8, 1), -0.5), r'floats from -0.5 to -0.5, but'),
  ],
)
def test_what_are_no_images_is_refused(folder, images, raised):
  with pytest.raises(ValueError, match=raised):
    student.load(folder).predict(images)


def test_weights_are_written_by_index_not_as_they_lie_in_memory(tmp_path):
  folder = write_toy(tmp_path / 'rows')
  tensors = load_file(folder / 'model.safetensors')
  columns = jax.tree.map(lambda x: np.asarray(x, order='F'), _variables())
  student.write(
    tmp_path / 'columns',
    columns,
    labels=LABELS,
    image_shape=IMAGE,
    net=NET,
    origin={},
  )
  again = load_file(tmp_path / 'columns' / 'model.safetensors')
  assert tensors.keys() == again.keys()
  for name, x in tensors.items():
    np.testing.assert_array_equal(again[name], x)


def _change(folder, **changes):
  path = folder / 'config.json'
  path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
  ('damage', 'raised'),
  [
    (lambda f: (f / 'config.json').unlink(), 'no folder of a student'),
    (lambda f: (f / 'model.safetensors').unlink(), 'no folder of a student'),
    (lambda f: (f / 'config.json').write_text('{'), 'no folder of a student'),
    (lambda f: (f / 'config.json').write_text('[]'), 'no folder of a student'),
    (lambda f: (f / 'config.json').write_text('{"format": 1}'), 'damaged'),
    (
      lambda f: (f / 'model.safetensors').write_bytes(b'12345678'),
      'no folder of a student',
    ),
    (lambda f: _change(f, format=2), '`format` must be 1; the version'),
    (lambda f: _change(f, labels=['a']), 'is not of'),
  ],
)
def test_a_damaged_folder_is_one_sentence(folder, damage, raised):
  damage(folder)
  with pytest.raises(UserError, match=f'^{folder}: .*{raised}'):
    student.load(folder)


@pytest.mark.parametrize(
  ('damage', 'raised'),
  [
    (lambda f: _change(f, net={'kind': 'conv'}), 'describes no net'),
    (
      lambda f: _change(f, net={**NET, 'kind': 'other'}),
      'describes no net',
    ),
    (lambda f: _change(f, net={**NET, 'widths': (4, 6)}), 'is not of the net'),
  ],
)
def test_a_net_that_is_not_its_own_is_one_sentence(tmp_path, damage, raised):
  write_toy(tmp_path)
  damage(tmp_path)
  with pytest.raises(UserError, match=f'^{tmp_path}: .*{raised}'):
    student.load(tmp_path)


@pytest.mark.parametrize(
  ('damage', 'raised'),
  [
    (lambda f: _change(f, image=[9, 8, 1]), 'its program is not of these'),
    (
      lambda f: change_tensor(f, '2/params/Dense_0/bias', lambda x: x[:2]),
      'its program is not of these',
    ),
    (
      lambda f: change_tensor(f, 'program', np.zeros_like),
      'its program cannot be read',
    ),
  ],
)
def test_a_damaged_program_is_one_sentence(tmp_path, damage, raised):
  write_program(tmp_path)
  damage(tmp_path)
  with pytest.raises(UserError, match=f'^{tmp_path}: .*{raised}'):
    student.load(tmp_path)


@pytest.mark.parametrize('write', [write_toy, write_program])
def test_labels_that_exclude_one_another_add_up_to_1(tmp_path, write):
  write(tmp_path, net={**NET, 'single_label': True})
  actual = dualgan_jax.load(tmp_path)
  answers = actual.predict(np.full((3, *IMAGE), 200, np.uint8))
  np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-6)
  assert 'they add up to 1' in actual.config['answers']


# What the folders in `tests/files/format_1` answered when they were written.
_ANSWERS_OF_FORMAT_1 = (
  (0.49061718583106995, 0.504062831401825, 0.504919707775116),
  (0.5023534297943115, 0.5001140236854553, 0.49667733907699585),
  (0.49831825494766235, 0.507146418094635, 0.5031102299690247),
)


@pytest.mark.parametrize('name', ['student', 'branched'])
def test_folders_of_earlier_versions_answer_the_same(name):
  folder = FILES / 'format_1' / name
  actual = student.load(folder).predict(_images(3, *IMAGE))
  np.testing.assert_allclose(actual, _ANSWERS_OF_FORMAT_1, atol=1e-6)


@pytest.mark.parametrize('n', [1, 2, 3, 64, 65])
def test_any_number_of_images_gets_the_same_answers(folder, n):
  loaded = student.load(folder)
  actual = loaded.predict(_images(65, *IMAGE)[:n])
  expected = loaded.predict(_images(65, *IMAGE))[:n]
  np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_a_net_that_cannot_be_run_is_one_sentence(folder, monkeypatch):
  def fail(images):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: no memory\n at all')

  loaded = student.load(folder)
  monkeypatch.setattr(loaded, '_answer', fail)
  with pytest.raises(UserError, match=r'run here \(RESOURCE_EXHAUSTED: no m'):
    loaded.predict(_images(1, *IMAGE))
