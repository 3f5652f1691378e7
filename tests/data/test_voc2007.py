"""A folder of the form of VOCdevkit is read as VOC means it."""

import numpy as np
import pytest
from PIL import Image

from dualgan_jax import run
from dualgan_jax.config import builders
from dualgan_jax.data import sources, voc2007
from dualgan_jax.errors import UserError
from dualgan_jax.presets import voc2007 as voc2007_config

# By image: its size, and its objects, some of them difficult.
_TRAIN = {
  '000005': ((12, 8), [('dog', 0), ('cat', 1)]),
  '000007': ((9, 9), [('cat', 0), ('cat', 1), ('person', 0)]),
}
_TEST = {'000001': ((8, 10), []), '000002': ((6, 6), [('train', 1)])}


def _annotation(objects):
  elements = ''.join(
    f'<object><name>{label}</name><difficult>{difficult}</difficult></object>'
    for label, difficult in objects
  )
  return f'<annotation>{elements}</annotation>'


@pytest.fixture
def devkit(tmp_path):
  """A VOCdevkit of four images, each of one grey."""
  folder = tmp_path / 'VOCdevkit' / 'VOC2007'
  for part in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
    (folder / part).mkdir(parents=True)
  for part, images in (('trainval', _TRAIN), ('test', _TEST)):
    names = ''.join(f'{name}\n' for name in images)
    (folder / 'ImageSets' / 'Main' / f'{part}.txt').write_text(names)
    for index, (name, (size, objects)) in enumerate(images.items()):
      file = folder / 'Annotations' / f'{name}.xml'
      file.write_text(_annotation(objects))
      picture = Image.new('RGB', size, (100 + 50 * index,) * 3)
      picture.save(folder / 'JPEGImages' / f'{name}.jpg')
  return folder.parent


def _load(path, part, **changes):
  values = builders.data_set(voc2007.SOURCE, path=path and str(path), **changes)
  config = builders.get_config()
  config.data = {'voc': values}
  return sources.load('voc', config.data.voc, part, (4, 5, 3), seed=0)


@pytest.mark.parametrize('inside', ['', 'VOC2007'])
def test_images_and_targets_by_hand(devkit, inside):
  split = _load(devkit / inside, 'train')
  assert split.images.shape == (2, 4, 5, 3)
  assert split.images.dtype == np.uint8
  np.testing.assert_allclose(split.images[0], 100, atol=2)
  np.testing.assert_allclose(split.images[1], 150, atol=2)
  # The first one's cat is difficult; the second one has an easy one, too.
  np.testing.assert_array_equal(
    split.label_targets(['dog', 'cat', 'person', 'bus']),
    [[1, np.nan, 0, 0], [0, 1, 1, 0]],
  )


def test_the_test_part_is_another(devkit):
  split = _load(devkit, 'test')
  np.testing.assert_array_equal(split.label_targets(['train']), [[0], [np.nan]])
  assert split.label_names == voc2007.LABELS


def test_the_teachers_of_the_config_answer_all_of_voc():
  assert sorted(voc2007_config.FIRST + voc2007_config.SECOND) == sorted(
    voc2007.LABELS
  )


@pytest.mark.parametrize(
  ('breaks', 'message'),
  [
    (
      lambda folder: (folder / 'Annotations' / '000005.xml').unlink(),
      '000005.xml',
    ),
    (
      lambda folder: (folder / 'Annotations' / '000005.xml').write_text(
        '<annotation>'
      ),
      'no element found',
    ),
    (
      lambda folder: (folder / 'Annotations' / '000005.xml').write_text(
        _annotation([('unicorn', 0)])
      ),
      "000005.xml has an object 'unicorn'",
    ),
    (
      lambda folder: (folder / 'ImageSets' / 'Main' / 'trainval.txt').unlink(),
      'trainval.txt',
    ),
    (
      lambda folder: (
        folder / 'ImageSets' / 'Main' / 'trainval.txt'
      ).write_text(''),
      'names no images',
    ),
    # Found before anything is trained.
    (
      lambda folder: (folder / 'ImageSets' / 'Main' / 'test.txt').unlink(),
      'test.txt',
    ),
  ],
)
def test_a_damaged_devkit_is_one_sentence(devkit, breaks, message):
  breaks(devkit / 'VOC2007')
  with pytest.raises(UserError, match=rf'^data\.voc\.path: .*{message}'):
    _load(devkit, 'train')


def test_a_missing_image_is_named(devkit):
  (devkit / 'VOC2007' / 'JPEGImages' / '000007.jpg').unlink()
  with pytest.raises(
    UserError,
    match=r'row 1 of part trainval, .*/000007\.jpg, cannot .* \(No such',
  ):
    _load(devkit, 'train')


def test_it_comes_from_a_folder_only():
  with pytest.raises(UserError, match=r'^data\.voc\.path: .* a folder only'):
    _load(None, 'train')


def test_it_has_a_test_part_of_its_own(devkit):
  with pytest.raises(UserError, match=r'^data\.voc\.test_fraction'):
    _load(devkit, 'train', test_fraction=0.5)


@pytest.mark.slow
def test_a_whole_run(devkit, tmp_path):
  config = voc2007_config.get_config()
  config.image_shape = (16, 16, 3)
  config.data.voc2007.path = str(devkit)
  strides = (2, 2, 2)
  for net in (*config.teachers.values(), config.student):
    net.update(builders.conv((4, 4, 4), strides))
  config.generator.widths = (4, 4, 4)
  config.generator.probe_steps = 2
  for stage in ('pretrain', 'generator', 'dual', 'refine', 'baselines'):
    config[stage].steps = 2
  config.targetnet.compact_steps = config.targetnet.branched_steps = 2
  results = run(config, str(tmp_path / 'run'))
  scores = results['metrics']['teachers']
  assert scores['top1'] is None
  # No test image is known to carry a label: there is none to find.
  assert scores['mAP'] is None
  assert 0 <= scores['exact_match'] <= 1
