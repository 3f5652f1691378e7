"""Writes students as ONNX, with images and the answers to expect.

    python -m tests.trials.onnx_models FOLDER

Other runtimes are tried with them: `onnx_answers.py` in onnxruntime, and
`onnx_answers.mjs` in a browser's under node. `nox -s runtimes` does both.
"""

import json
import pathlib
import sys

import numpy as np

from dualgan_jax.student import export, quantisation, student
from dualgan_jax.student.generated_images import GeneratedImages
from tests.student import nets

_NUM_IMAGES = 3
_NUM_GENERATED = 64  # to calibrate with
# By the file's name, how far probabilities may be from the student's.
_TOLERANCES = {'model': 1e-5, 'model.int8': 0.05}


def main(folder: pathlib.Path) -> None:
  """Writes two models per net of `nets.NETS`, with a JSON file for each."""
  for name in nets.NETS:
    path = nets.write(folder / name, name)
    loaded = student.load(path)
    export.write(loaded, path, 'onnx')
    images = nets.draw_images(name, _NUM_GENERATED)
    logits = np.zeros((_NUM_GENERATED, len(nets.LABELS)))
    quantisation.write(loaded, path, GeneratedImages(images, logits), opset=17)

    images = nets.draw_images(name, _NUM_IMAGES)
    case = {
      'shape': images.shape,
      'images': images.ravel().tolist(),
      'probabilities': loaded.predict(images).ravel().tolist(),
    }
    for model, tolerance in _TOLERANCES.items():
      (path / f'{model}.onnx').rename(folder / f'{name}_{model}.onnx')
      (folder / f'{name}_{model}.json').write_text(
        json.dumps({**case, 'tolerance': tolerance})
      )


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]))
