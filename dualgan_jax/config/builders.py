"""What all experiments have in common: every field, with its usual value."""

import ml_collections
from ml_collections import config_dict

from dualgan_jax.config import objectives
from dualgan_jax.errors import UserError


def get_config() -> ml_collections.ConfigDict:
  """A config without data; experiment, image, labels and nets are missing."""
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.devices = 0  # all that are there
  config.steps_per_call = 0  # what suits the devices
  config.log_every = 20
  config.save_every = 200
  config.data = {}  # by name, as `data_set` makes them
  config.precision = 'float32'  # or 'bfloat16', on devices that are fast at it
  config.pretrain = {
    'teacher_data': 'shared',  # or 'own': only images of a teacher's labels
    'steps': 600,
    'batch': 128,
    'learning_rate': 2e-3,
  }
  config.objective = objectives.default()
  config.generator = {
    'noise': 64,
    'widths': (64, 32, 16),  # inside G^1 .. G^B
    'features': config_dict.placeholder(tuple),  # as wide as the student
    'steps': 1000,
    'batch': 128,
    'learning_rate': 2e-3,
    'b1': 0.5,
    'probe_steps': 400,  # to decide on routing
  }
  config.dual = {
    'steps': 200,  # each block
    'batch': 128,
    'learning_rate': 2e-3,
    'filters': 'stage1',
    'lambda_own': 1.0,
    'lambda_generated': 0.0,
  }
  config.temperature = 3.0  # of distillation
  config.targetnet = {
    'compact_steps': 1800,
    'branched_steps': 600,
    'batch': 128,
    'learning_rate': 2e-3,
    'measure_batches': 8,
    'branch_tolerance': 0.0,
  }
  config.refine = {
    'steps': 1000,
    'batch': 128,
    'learning_rate': 2e-3,  # the student's
    'generator_learning_rate': 1e-3,
    'disagreement': 1.0,
    'replays': 1,  # the student's, for each step of the generator
    'shift': 0,  # pixels that replayed images move by, at most
    'flip': False,  # whether half of them are mirrored
    'mixup': 0.0,  # share of them that is blended, each with another
    'pool_batches': 300,
  }
  config.baselines = {'steps': 1800, 'batch': 128, 'learning_rate': 2e-3}
  return config


def data_set(source: str, **changes) -> dict:
  """A named set of `config.data`.

  Args:
    source: its name on the Hugging Face Hub, 'scikit-learn/digits', or
      'PASCAL/VOC2007', which is read from `path` only.
    **changes: other fields than usual.
  """
  return {
    'source': source,
    'path': config_dict.placeholder(str),  # a local folder instead
    'subset': config_dict.placeholder(str),  # of the Hub's, if it has several
    'train_part': 'train',  # what the set calls its training part
    'test_part': 'test',  # ... and the one to evaluate on, like 'validation'
    'image_column': config_dict.placeholder(str),  # if not found by its type
    'label_column': config_dict.placeholder(str),  # labels, texts or numbers
    'test_fraction': config_dict.placeholder(float),  # if it has no test part
    'shift': 0,  # pixels that training images move by, at most
    'flip': False,  # whether training images are mirrored
    'overlay': 0,  # times that each is laid over another (overlay.py)
    **changes,
  }


def conv(widths: tuple[int, ...], strides: tuple[int, ...], **changes) -> dict:
  """A net of convolutions with batch norm, one per block if not changed.

  Args:
    widths: channels of each block.
    strides: of each block.
    **changes: other fields than usual; `kind` is one of
      `dualgan_jax.networks.classifier.KINDS`.
  """
  return {
    'kind': 'conv',
    'widths': widths,
    'depths': (1,) * len(widths),
    'strides': strides,
    'batch_norm': True,
    **changes,
  }


def teacher(labels: tuple[str, ...], data: str, net: dict, **changes) -> dict:
  """A teacher that is trained here.

  Args:
    labels: that it answers.
    data: the set of `config.data` that it is trained on.
    net: as `conv` makes it.
    **changes: other fields than usual.
  """
  return {
    'labels': labels,
    'data': data,
    'single_label': False,  # whether its labels exclude one another
    **net,
    **changes,
  }


def weights(architecture: str, address: str, **changes) -> dict:
  """A teacher that PyTorch has trained.

  Args:
    architecture: one of `dualgan_jax.networks.architectures.ARCHITECTURES`.
    address: of its weight file: a path, or hf://owner/name[/file].
    **changes: other fields than usual, and 'labels', in the order of its
      logits.
  """
  return {
    'architecture': architecture,
    'weights': address,
    'single_label': False,  # True if it was trained with a softmax
    'sha256': config_dict.placeholder(str),  # that it must have
    # A key or list position, where several state dicts in the file would fit.
    'index': config_dict.placeholder(str),
    # Whether a max pool follows the first convolution; a ResNet's usual, if not
    # given: yes in `resnet*`, no in `cifar_resnet*`.
    'stem_pool': config_dict.placeholder(bool),
    # An .npz of a few images and PyTorch's logits, to compare with.
    'reference': config_dict.placeholder(str),
    'data': config_dict.placeholder(str),  # the set it was trained on, if known
    'size': config_dict.placeholder(tuple),  # that it takes, if not ours
    'mean': (0.0,),  # taken away from images in [0, 1]
    'deviation': (1.0,),  # that they are divided by then
    'merge': (),  # blocks, by number, each taken as one with the next
    **changes,
  }


def module(path: str) -> dict:
  """A teacher that a Python file makes (`experiments/flax_teacher.py`).

  Args:
    path: of the file.
  """
  return {
    'module': path,
    'labels': config_dict.placeholder(tuple),  # the file's, if not given
    'sha256': config_dict.placeholder(str),  # of file and variables
    'data': config_dict.placeholder(str),  # the set it was trained on, if known
  }


def varied(
  config: ml_collections.ConfigDict, variants: str, known: dict
) -> ml_collections.ConfigDict:
  """A config, changed by variants.

  Args:
    config: changed, and returned.
    variants: names, separated by commas.
    known: by name, a function that changes a config; those that are asked for
      do so in the order in which they are known.

  Raises:
    UserError: a name is not known, or two of them name the experiment or the
      objective.
  """
  asked = list(filter(None, variants.split(',')))
  for variant in asked:
    if variant not in known:
      raise UserError(
        f'{config.experiment}.py:{variant}: no such variant; there are '
        f'{", ".join(known)}.'
      )
  named = {}
  for variant in filter(asked.__contains__, known):
    before = config.experiment, config.objective.name
    known[variant](config)
    for field, was, now in zip(
      ('experiment', 'objective'),
      before,
      (config.experiment, config.objective.name),
      strict=True,
    ):
      if was != now and named.setdefault(field, variant) != variant:
        raise UserError(
          f'{variants}: {named[field]} and {variant} exclude one another; take '
          'one of them.'
        )
  return config
