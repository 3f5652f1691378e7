"""Two ResNet-34 of CIFAR-10 from weight files that PyTorch has written.

    python -m experiments.main \\
        --config=experiments/configs/pytorch_cifar10.py \\
        --workdir=runs/pytorch_cifar10 \\
        --config.teachers.animals.weights=animals.pth \\
        --config.teachers.vehicles.weights=vehicles.pth

A file is a state dict that `torch.save` or safetensors wrote, or one of the
Hugging Face Hub, hf://owner/name/file. Labels stand in the order of a teacher's
logits; mean and deviation are those that its training images were prepared
with. Copy this config for teachers of your own. It is sized for one GPU, as
`cifar10` is, and an example without results: the project has no such files.

`tested` adds CIFAR-10's test images, so that the results have an accuracy.
"""

import ml_collections

from dualgan_jax.config import builders
from dualgan_jax.presets import cifar10


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """The config; the variant is tested."""
  config = cifar10.get_config()
  config.experiment = 'pytorch_cifar10'
  config.data = {}
  config.teachers = {
    name: {
      'labels': labels,
      **builders.weights(
        'cifar_resnet34',
        f'{name}.pth',
        single_label=True,  # they were trained with a softmax
        mean=(0.4914, 0.4822, 0.4465),
        deviation=(0.2023, 0.1994, 0.2010),
      ),
    }
    for name, labels in (
      ('animals', cifar10.ANIMALS),
      ('vehicles', cifar10.VEHICLES),
    )
  }
  return builders.apply_variants(config, variants, VARIANTS)


def _tested(config: ml_collections.ConfigDict) -> None:
  config.data = {'cifar10': builders.data_set('uoft-cs/cifar10')}


VARIANTS = {'tested': _tested}
