"""Configs are checked, and wrong fields are named with the cure."""

import math
import random
import re

import ml_collections
import pydantic
import pytest

from dualgan_jax.config import builders, schema
from dualgan_jax.errors import UserError
from dualgan_jax.presets import cifar10, digits, fashion_mnist, federated, mnist
from experiments.configs import ablation, strangers
from tests.config.configs import MISSING, config_with_weights, make_config
from tests.trials import odd_settings


@pytest.mark.parametrize(
  ('experiment', 'variants'),
  [
    (digits, ''),
    (digits, 'smoke'),
    (digits, 'paper'),
    (digits, 'smoke,paper'),
    (mnist, ''),
    (mnist, 'own,paper'),
    (fashion_mnist, 'paper'),
    (strangers, ''),
    (strangers, 'off'),
    (cifar10, ''),
    (cifar10, 'laptop,dafl'),
    (federated, 'fashion_mnist,alpha_0.1'),
    (ablation, 'blocks_only'),
  ],
)
def test_a_good_config_comes_back_frozen(experiment, variants):
  config = experiment.get_config(variants)
  checked = schema.check(config)
  if config.generator.features is None:
    config.generator.features = config.student.widths[:-1]
  config.baselines.steps = checked.baselines.steps
  assert checked.model_dump() == config.to_dict()
  with pytest.raises(pydantic.ValidationError, match='frozen'):
    checked.seed = 1


def test_the_generators_features_are_as_wide_as_the_student():
  config = make_config(student__widths=(24, 48, 96))
  assert schema.check(config).generator.features == (24, 48)
  config.generator.features = (4, 4)
  assert schema.check(config).generator.features == (4, 4)


def test_baselines_have_as_many_steps_as_the_student():
  config = make_config(
    dual__steps=5,
    targetnet__compact_steps=30,
    refine__steps=100,
    refine__replay_steps=4,
    baselines__enabled=True,
    baselines__steps=None,
  )
  assert schema.check(config).baselines.steps == 5 + 30 + 100 * 5
  config.baselines.steps = 7
  assert schema.check(config).baselines.steps == 7


def test_teachers_from_files_need_no_data():
  config = config_with_weights(data=None)
  checked = schema.check(config)
  config.generator.features = config.student.widths[:-1]
  assert checked.model_dump() == config.to_dict()


def test_teachers_from_files_may_be_tested_on_any_data():
  config = config_with_weights()
  config.data = {'more': builders.data_set('ylecun/mnist')}
  schema.check(config)


def test_blocks_need_something_to_learn():
  config = make_config(dual__lambda_own=0.0, dual__lambda_generated=0.0)
  with pytest.raises(
    UserError, match=r'^dual\.lambda_own: blocks learn nothin'
  ):
    schema.check(config)
  config.dual.steps = 0
  schema.check(config)


def test_dafl_trains_generator_and_student_together():
  config = schema.check(digits.get_config('dafl'))
  assert not (
    config.generator.steps
    or config.dual.steps
    or config.targetnet.compact_steps
  )
  default = digits.get_config()
  # The generator sees as many images, in batches of DAFL's size.
  assert config.refine.batch == 512
  assert config.refine.steps * 512 == sum(
    default[stage].steps * default[stage].batch
    for stage in ('generator', 'refine')
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'generator': 0}, r'^generator\.steps: with 0 of them only stage refine'),
    (
      {'generator': 0, 'dual': 0, 'compact': 0, 'refine': 0},
      r'^generator\.steps: with 0 of them only stage refine',
    ),
    (
      {'dual': 0, 'compact': 0, 'refine': 0},
      r'^targetnet\.compact_steps: the compact TargetNet learns nothing',
    ),
  ],
)
def test_generator_and_student_learn_somewhere(changes, message):
  config = make_config()
  config.targetnet.compact_steps = changes.pop('compact', 1)
  for stage, steps in changes.items():
    config[stage].steps = steps
  with pytest.raises(UserError, match=message):
    schema.check(config)


@pytest.mark.parametrize(
  ('mean', 'std', 'message'),
  [
    ((0.5,), None, r'image_mean: it goes with generator\.image_std; set both'),
    (None, (0.5,), r'image_mean: it goes with generator\.image_std; set both'),
    ((0.5,), (0.2, 0.2, 0.2), r'image_std: 3 values for 1 channel\(s\)'),
  ],
)
def test_images_have_both_statistics_or_none(mean, std, message):
  config = make_config(generator__image_mean=mean, generator__image_std=std)
  with pytest.raises(UserError, match=rf'^generator\.{message}'):
    schema.check(config)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'architecture': 'vgg20'},
      'architecture: .* one of vgg19, .* or .* others',
    ),
    ({'weights': 3}, 'weights: 3, but it should be a text'),
    ({'sha256': 7}, 'sha256: 7'),
    ({'image_shape': (32, 32)}, r'image_shape: \(32, 32\)'),
    ({'single_label': 1}, 'single_label: 1, but it should be True or False'),
    (
      {'single_label': True, 'labels': ('a',)},
      'single_label: it has one label only',
    ),
    ({'mean': 0.5}, 'mean: 0.5, but it should be a tuple of one number'),
    ({'mean': (0.1, 0.2)}, 'mean: .* one per channel'),
    ({'mean': (125.3, 0.0, 0.0)}, r'mean: .* of images in \[0, 1\]'),
    ({'std': (0.0,)}, 'std: .* above 0'),
    ({'data': 'nowhere'}, "data: there is no data set 'nowhere'"),
    ({'index': -1}, 'index: -1, but it should be a key of the file or a list'),
    ({'index': (1,)}, r'index: \(1,\), but it should be a key'),
    ({'stem_pool': 1}, 'stem_pool: 1, but it should be True or False'),
    ({'stem_pool': False, 'architecture': 'lenet5'}, 'stem_pool: no pool can'),
    ({'reference': 1}, 'reference: 1, but it should be a text'),
    ({'kind': 'conv'}, 'kind: no such field'),
  ],
)
def test_a_wrong_field_of_a_weight_file_is_named(changes, message):
  with pytest.raises(UserError, match=rf'^teachers\.one\.{message}'):
    schema.check(config_with_weights(**changes))


def test_a_teacher_is_a_group_of_fields():
  with pytest.raises(UserError, match=r'^teachers\.low: 3, but .* a group'):
    schema.check(make_config(teachers__low=3))


@pytest.mark.parametrize('name', schema.MODEL_ROWS)
def test_a_teacher_must_not_be_named_like_another_row(name):
  teacher = make_config().teachers.low
  with pytest.raises(UserError, match=rf'^teachers\.{name}: .* a row of that'):
    schema.check(make_config(teachers={name: teacher}))


def test_variants_may_come_in_any_order():
  for pair in ('paper,smoke', 'dafl,smoke'):
    one = digits.get_config(pair)
    two = digits.get_config(','.join(reversed(pair.split(','))))
    assert one.to_dict() == two.to_dict()
    schema.check(one)


@pytest.mark.parametrize(
  ('experiment', 'variants'),
  [(digits, 'paper,dafl'), (mnist, 'own,plain'), (ablation, 'paper,no_refine')],
)
def test_variants_that_exclude_one_another_are_refused(experiment, variants):
  with pytest.raises(ValueError, match=f'^{variants}: .* exclude one another'):
    experiment.get_config(variants)


@pytest.mark.parametrize(
  ('clients', 'client', 'message'),
  [
    (0, None, None),
    (5, 4, None),
    (0, 0, 'data.digits is not split over clients; set data.digits.clients to'),
    (5, None, 'None, but .* over 5 clients; give the number of one, from 0 to'),
    (5, 5, '5, but data.digits is split over 5 clients; .* from 0 to 4.'),
  ],
)
def test_teachers_name_clients_where_their_set_is_split(
  clients, client, message
):
  config = make_config(
    data__digits__clients=clients,
    teachers__low__client=client,
    teachers__high__client=1 if clients else None,
  )
  if message is None:
    schema.check(config)
    return
  with pytest.raises(UserError, match=rf'^teachers\.low\.client: {message}'):
    schema.check(config)


@pytest.mark.parametrize('teachers', [{}, None])
def test_without_teachers_there_is_nothing_to_learn(teachers):
  with pytest.raises(UserError, match='^teachers: name at least one'):
    schema.check(make_config(teachers=teachers))


@pytest.mark.parametrize('index', [None, 0, 3, '', 'ema', 'nets.1'])
def test_an_index_is_a_key_or_a_position(index):
  checked = schema.check(config_with_weights(index=index))
  assert checked.teachers['one'].index == index


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('seed', 0),
    ('devices', 0),
    ('student__kind', 'residual'),
    ('generator__features', (8, 8)),
    ('objective__alpha', 0),  # a whole number is a number
    ('objective__beta', 1000.0),
    ('objective__routing', 'auto'),
    ('objective__routing', 'on'),
    ('pretrain__teacher_data', 'own'),
    ('data__digits__source', 'ylecun/mnist'),
    ('data__digits__path', None),
    ('data__digits__path', '/data/mnist'),
    ('data__digits__test_fraction', None),
    ('data__digits__test_fraction', 0.99),
    ('data__digits__shift', 2),
    ('data__digits__flip', True),
    ('data__digits__overlay', 4),
    ('dual__filter_start', 'fresh'),
    ('targetnet__branch_tolerance', 0.5),
    ('temperature', 3),
    ('refine__steps', 0),  # leaves the stage out
    ('refine__adversarial_weight', 0.0),
    ('image_shape', (16, 16, 3)),
    ('labels', ('7',)),
  ],
)
def test_a_right_value_is_taken(field, value):
  values = schema.check(make_config(**{field: value})).model_dump()
  for part in field.split('__'):
    values = values[part]
  assert values == value


@pytest.mark.parametrize(
  ('field', 'value', 'expectation'),
  [
    # The wrong type.
    ('experiment', 3, 'a name; it is of type int'),
    ('experiment', '', 'a name; it is empty'),
    ('objective__name', None, 'a name; it is of'),
    ('refine__learning_rate', 1e-46, '0, or in size from 1.2e-38 to 3.4e+38'),
    ('objective__gamma', 1e39, '0, or in size from 1.2e-38 to 3.4e+38'),
    ('student__widths', (8, 10**6), 'whole numbers from 1 to 65,536'),
    ('generator__latent_dim', 10**6, 'a whole number from 1 to 65,536'),
    ('seed', 1.0, 'a whole number from 0'),
    ('seed', '1', 'a whole number from 0'),
    ('seed', {'data': 1}, 'a whole number from 0'),
    ('seed', 2**31, 'a whole number from 0 to 2,147,483,647'),
    ('generator__batch', 10**12, 'a whole number from 0 to 2,147,483,647'),
    ('pretrain__steps', 10.5, 'a whole number from 1'),
    ('pretrain__learning_rate', '1e-3', 'a number above 0'),
    ('objective__gamma', None, 'a number from 0'),
    ('labels', '01', 'a tuple of texts'),
    ('labels', ['0', '1'], 'a tuple of texts'),
    ('labels', (0, 1), 'a tuple of texts'),
    ('teachers__low__labels', None, 'a tuple of texts'),
    ('image_shape', 16, 'a tuple (height, width'),
    ('image_shape', [16, 16, 1], 'a tuple (height, width'),
    ('generator__features', 8, 'a tuple of whole numbers from 1'),
    ('generator__widths', None, 'a tuple of whole numbers from 1'),
    ('data__digits__source', None, 'a text'),
    ('data__digits__source', ('a', 'b'), 'a text'),
    ('data__digits__path', 3, 'a text'),
    ('data__digits__path', '', 'a text'),
    ('data__digits__shift', 1.5, 'a whole number from 0'),
    ('teachers__low__data', None, 'a text'),
    ('teachers__low__data', ('digits',), 'a text'),
    ('refine__adversarial_weight', '1', 'a number from 0'),
    # Out of range.
    ('seed', -1, 'from 0'),
    ('log_every', 0, 'from 1'),
    ('steps_per_call', -1, 'from 0'),
    ('save_every', -5, 'from 0'),
    ('save_minutes', 0.0, 'above 0'),
    ('generator__batch', -1, 'from 0'),
    ('student__widths', (16, 0, 64), 'from 1'),
    ('student__widths', (), 'from 1'),
    ('data__digits__test_fraction', 0.0, 'above 0, less than 1'),
    ('data__digits__test_fraction', 1.0, 'above 0, less than 1'),
    ('data__digits__shift', -1, 'from 0'),
    ('image_shape', (16, 16, 2), 'channels 1 or 3'),
    ('image_shape', (16, 0, 1), 'a tuple (height, width'),
    ('pretrain__steps', 0, 'from 1'),
    ('generator__probe_steps', 0, 'from 1'),
    ('temperature', 0.0, 'above 0'),
    ('refine__steps', -1, 'from 0'),
    ('refine__replay_buffer_batches', 0, 'from 1'),
    ('augmentation__shift', -1, 'from 0'),
    ('augmentation__shift', 16, 'move an image of 16×16 out of sight'),
    ('augmentation__flip', 1, 'True or False'),
    ('augmentation__mixup', 1.0, 'from 0, less than 1'),
    ('refine__adversarial_weight', -0.5, 'a number from 0'),
    ('baselines__learning_rate', 0.0, 'above 0'),
    ('generator__b1', 0.5, 'no such field'),
    ('dual__lambda_own', -1.0, 'a number from 0'),
    # True is 1 to Python and nothing to a user.
    ('devices', True, 'a whole number'),
    ('dual__batch', True, 'a whole number'),
    ('image_shape', (16, 16, True), 'a tuple (height, width'),
    ('objective__bn_prior_weight', True, 'a number'),
    # And 1 is no answer to a question.
    ('objective__never_empty', 1, 'True or False'),
    ('data__digits__flip', 1, 'True or False'),
    ('data__digits__overlay', 'no', 'a whole number from 0'),
    ('teachers__high__batch_norm', 'yes', 'True or False'),
    # No number at all.
    ('objective__alpha', math.nan, 'a number'),
    ('objective__beta', math.inf, 'a number'),
    ('dual__lambda_generated', -math.inf, 'a number'),
    ('data__digits__test_fraction', math.nan, 'a number'),
    ('targetnet__branch_tolerance', math.inf, 'a number'),
    # Not among the choices, which the message gives.
    ('student__kind', 'dense', 'conv, residual'),
    ('teachers__low__kind', None, 'conv, residual'),
    ('objective__entropy', 'sigmoid', 'normalised, bernoulli, softmax'),
    ('dual__filter_start', ('fresh',), 'stage1, fresh'),
    ('pretrain__teacher_data', 'both', 'shared, own'),
    ('objective__routing', True, 'auto, on, images, off'),
    ('teachers__low__data', 'mnist', "no data set 'mnist'; there are digits"),
    # The wrong length.
    ('image_shape', (16, 16), 'a tuple (height, width'),
    ('student__depths', (1, 1), '2 values for 3 blocks'),
    ('student__strides', (2, 2, 1, 1), '4 values for 3 blocks'),
    ('teachers__high__widths', (8, 8), '3 values for 2 blocks'),
    # Not there, or not to be there.
    ('student', MISSING, 'missing'),
    ('teachers__low__labels', MISSING, 'missing'),
    ('sede', 1, 'no such field'),
    ('generator__stesp', 5, 'no such field'),
    ('teachers__low__colour', 'red', 'no such field'),
    ('teachers__low__data', MISSING, 'missing'),
    ('data__digits__source', MISSING, 'missing'),
    ('data__digits__teacher_data', 'own', 'no such field'),
    ('student__kind', MISSING, 'missing'),
    ('student__labels', ('0',), 'no such field'),  # those are `labels`
    ('extra', {'a': 1}, 'no such field'),
    # A value where a group should be.
    ('data__digits', 3, 'a group'),
    ('objective', 'paper', 'a group'),
    ('student', (16, 32, 64), 'a group'),
    ('teachers__low', None, 'a group'),
    ('teachers', MISSING, 'at least one teacher'),
    ('teachers', 3, 'at least one teacher'),
    ('teachers', {}, 'at least one teacher'),
    ('data', MISSING, 'at least one data set'),
    ('data', 'scikit-learn/digits', 'at least one data set'),
    ('data', {}, 'at least one data set'),
  ],
)
def test_a_wrong_value_is_named_with_the_cure(field, value, expectation):
  with pytest.raises(UserError) as error:
    schema.check(make_config(**{field: value}))
  message = str(error.value)
  # Of three tuples that must be equally long, `widths` sets the measure.
  named_field = {'teachers__high__widths': 'teachers__high__depths'}.get(
    field, field
  )
  assert message.startswith(named_field.replace('__', '.') + ': ')
  assert expectation in message
  assert '\n' not in message


@pytest.mark.parametrize(
  'field',
  ['seed', 'generator__latent_dim', 'baselines', 'teachers__low__single_label'],
)
def test_a_field_that_is_left_out_has_its_default(field):
  assert schema.check(make_config(**{field: MISSING})) == schema.check(
    make_config()
  )


def test_a_teacher_may_have_a_data_set_of_its_own():
  letters = ml_collections.ConfigDict(builders.data_set('someone/letters'))
  config = make_config(
    data__letters=letters.to_dict(), teachers__low__data='letters'
  )
  checked = schema.check(config)
  assert checked.teachers['low'].data == 'letters'
  assert checked.teachers['high'].data == 'digits'
  with pytest.raises(UserError, match='letters.shift: -1'):
    schema.check(make_config(data__letters={**letters.to_dict(), 'shift': -1}))


def test_a_data_set_that_is_not_there_is_named_with_those_that_are():
  letters = ml_collections.ConfigDict(builders.data_set('someone/letters'))
  config = make_config(
    data__letters=letters.to_dict(), teachers__high__data='words'
  )
  with pytest.raises(UserError) as error:
    schema.check(config)
  assert str(error.value) == (
    "teachers.high.data: there is no data set 'words'; there are digits, "
    'letters.'
  )


def test_a_wrong_value_is_shown():
  with pytest.raises(UserError, match=re.escape("generator.steps: '12', but")):
    schema.check(make_config(generator__steps='12'))


def test_odd_values_are_taken_or_refused_in_a_sentence():
  trials = random.Random(0).sample(list(odd_settings.iterate_trials()), 1500)
  assert [trial for trial in trials if odd_settings.find_fault(*trial)] == []


@pytest.mark.parametrize('config', [{}, None, 'digits', [1]])
def test_a_value_that_is_no_config_is_one_sentence(config):
  with pytest.raises(UserError, match='^config: .* be a ConfigDict'):
    schema.check(config)


@pytest.mark.parametrize(
  ('name', 'fault'),
  [
    ('', 'is empty'),
    ('a/b', "has a '/'"),
    ('a\nb', 'has a character that cannot be shown'),
    ('x' * 101, 'has 101 characters'),
  ],
)
@pytest.mark.parametrize('group', ['teachers', 'data'])
def test_a_name_that_is_a_path_is_refused(group, name, fault):
  values = digits.get_config().to_dict()
  values[group][name] = next(iter(values[group].values()))
  with pytest.raises(
    UserError, match=f'^{group}: the name .* {fault}'
  ) as error:
    schema.check(ml_collections.ConfigDict(values))
  assert str(error.value).isprintable()


def test_labels_may_be_any_printable_text():
  for label in ('T-shirt/top', '猫', 'x' * 200, '$a_b$', '| <b>'):
    schema.check(make_config(labels=(label,)))
  for label in ('', ' ', 'x' * 201, 'a\x1b[2J', 'a\nb', '\u202eab', 3):
    with pytest.raises(UserError, match='^labels: ') as error:
      schema.check(make_config(labels=(label,)))
    assert str(error.value).isprintable()
