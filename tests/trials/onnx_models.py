"""Writes students as ONNX, with images and the answers to expect.

    python -m tests.trials.onnx_models FOLDER

Other runtimes are tried with them: `onnx_answers.py` in onnxruntime, and
`onnx_answers.mjs` in a browser's under node. `nox -s runtimes` does both.
"""

import json
import pathlib
import sys

from dualgan_jax.student import export, student
from tests.student import nets

_NUM_IMAGES = 3


def main(folder: pathlib.Path) -> None:
  """Writes a model and a JSON file per net of `nets.NETS`."""
  for name in nets.NETS:
    path = nets.write(folder / name, name)
    loaded = student.load(path)
    export.write(loaded, path, 'onnx')
    (path / 'model.onnx').rename(folder / f'{name}.onnx')
    images = nets.draw_images(name, _NUM_IMAGES)
    case = {
      'shape': images.shape,
      'images': images.ravel().tolist(),
      'probabilities': loaded.predict(images).ravel().tolist(),
    }
    (folder / f'{name}.json').write_text(json.dumps(case))


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]))
